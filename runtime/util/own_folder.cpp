#include "runtime/util/own_folder.hpp"

#include <dlfcn.h>
#include <link.h>

#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <system_error>

#include "runtime/util/environment.hpp"

namespace kerncast {
namespace {

/// The file that `address` is mapped from; empty if the system does not tell.
std::string file_mapped_at(std::uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  // Each line is "begin-end rights offset device inode   path", with numbers in hex.
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    const auto [dash, bad_begin] = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
    if (bad_begin != std::errc() || dash == line.data() + line.size()) {
      continue;
    }
    const auto parsed = std::from_chars(dash + 1, line.data() + line.size(), end, 16);
    const std::size_t path = line.find('/');
    if (parsed.ec == std::errc() && begin <= address && address < end && path != std::string::npos) {
      return line.substr(path);
    }
  }
  return {};
}

}  // namespace

std::filesystem::path own_folder() {
  std::error_code error;
  Dl_info info{};
  void* extra = nullptr;
  const bool found = dladdr1(reinterpret_cast<const void*>(&own_folder), &info, &extra, RTLD_DL_LINKMAP) != 0;
  // The loader knows the program by no name. The name that dladdr gives it instead is the first argument,
  // which whoever started the program chose.
  if (const char* name = found && extra != nullptr ? static_cast<const link_map*>(extra)->l_name : "";
      *name != '\0') {
    // A relative name, as of dlopen("./libkerncast.so"), means another file once the current folder changes.
    const std::string path =
        *name == '/' ? std::string(name) : file_mapped_at(reinterpret_cast<std::uintptr_t>(&own_folder));
    return std::filesystem::canonical(path, error).parent_path();
  }
  return has_raised_privileges() ? std::filesystem::path()
                                 : std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace kerncast
