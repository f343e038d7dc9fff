#include "runtime/util/elf_file.hpp"

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <vector>

#include "runtime/util/environment.hpp"

namespace kerncast {
namespace {

namespace fs = std::filesystem;

/// The end of the last byte that the headers of a library speak of. 0 if they cannot be read.
std::uint64_t end_of_contents(std::ifstream& file, const Elf64_Ehdr& header) {
  std::uint64_t end = header.e_shoff + std::uint64_t{header.e_shentsize} * header.e_shnum;
  file.seekg(static_cast<std::streamoff>(header.e_phoff));
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    if (header.e_phentsize != sizeof segment ||
        !file.read(reinterpret_cast<char*>(&segment), sizeof segment)) {
      return 0;
    }
    if (segment.p_type == PT_LOAD) {
      end = std::max<std::uint64_t>(end, segment.p_offset + segment.p_filesz);
    }
  }
  return end;
}

std::vector<fs::path> library_folders() {
  std::vector<fs::path> folders;
  const std::string path = environment("LD_LIBRARY_PATH");
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    folders.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  for (const char* folder : {"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu",
                             "/usr/lib/aarch64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"}) {
    folders.emplace_back(folder);
  }
  return folders;
}

}  // namespace

std::string elf_defect(const std::string& path) {
  std::error_code error;
  const std::uint64_t size = fs::is_regular_file(path, error) ? fs::file_size(path, error) : 0;
  std::ifstream file(path, std::ios::binary);
  if (error || !file.good() || !fs::is_regular_file(path, error)) {
    return {};
  }
  Elf64_Ehdr header{};
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) {
    return "it is truncated: " + std::to_string(size) + " bytes are no library";
  }
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) {
    return "it is no ELF file of 64 bits";
  }
  const std::uint64_t end = end_of_contents(file, header);
  if (end == 0 || end > size) {
    return "it is truncated: it has " + std::to_string(size) + " bytes" +
           (end == 0 ? std::string() : " of " + std::to_string(end));
  }
  return {};
}

std::string library_defect(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return elf_defect(name);
  }
  for (const fs::path& folder : library_folders()) {
    std::error_code error;
    if (const fs::path path = folder / name; fs::exists(path, error)) {
      const std::string defect = elf_defect(path.string());
      return defect.empty() ? defect : path.string() + ": " + defect;
    }
  }
  return {};
}

}  // namespace kerncast
