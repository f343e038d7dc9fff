#include "runtime/dispatch/entry_proof.hpp"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "runtime/dispatch/source_text/source.hpp"
#include "runtime/util/split.hpp"

namespace kerncast {
namespace {

/// The ELF header of `cubin`, a 64-bit little-endian file.
std::optional<Elf64_Ehdr> elf_header(std::string_view cubin) {
  Elf64_Ehdr header{};
  if (cubin.size() < sizeof(header)) {
    return std::nullopt;
  }
  std::memcpy(&header, cubin.data(), sizeof(header));
  const bool known = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                     header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB;
  return known ? std::optional(header) : std::nullopt;
}

/// The number of the architecture in a cubin's header: 90 for sm_90a.
unsigned architecture_of(const Elf64_Ehdr& header) {
  // Since version 8 of the ABI (CUDA 13) the number stands in the second byte of the flags, before in the
  // first.
  constexpr unsigned char moved_in = 8;
  return header.e_ident[EI_ABIVERSION] >= moved_in ? (header.e_flags >> 8) & 0xffU : header.e_flags & 0xffU;
}

/// The digits of "sm_90a" as a number.
unsigned architecture_number(std::string_view arch) {
  unsigned number = 0;
  for (const char c : arch) {
    if (c >= '0' && c <= '9') {
      number = number * 10 + static_cast<unsigned>(c - '0');
    }
  }
  return number;
}

std::string defect_of_cubin(std::string_view cubin, std::string_view arch,
                            const std::vector<std::string>& kernels) {
  const std::optional<Elf64_Ehdr> header = elf_header(cubin);
  if (!header || header->e_machine != EM_CUDA) {
    return "its cubin is none";
  }
  if (header->e_shoff > cubin.size() ||
      std::uint64_t{header->e_shentsize} * header->e_shnum > cubin.size() - header->e_shoff) {
    return "its cubin is cut short";
  }
  if (architecture_of(*header) != architecture_number(arch)) {
    return fmt::format("its cubin is for sm_{}, not for {}", architecture_of(*header), arch);
  }
  for (const std::string& kernel : kernels) {
    if (cubin.find(".text." + kernel) == std::string_view::npos) {
      return "its cubin lacks the kernel " + kernel;
    }
  }
  return {};
}

/// The first word of the operand of the directive `name` in the head of `ptx`.
std::string_view directive(std::string_view ptx, std::string_view name) {
  std::size_t at = 0;
  while (at < ptx.size()) {
    const std::size_t end = std::min(ptx.find('\n', at), ptx.size());
    const std::string_view line = ptx.substr(at, end - at);
    if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ' ') {
      const std::string_view operand = line.substr(name.size() + 1);
      return operand.substr(0, operand.find_first_of(", \r\t"));
    }
    if (!line.empty() && line.front() != '.' && !line.starts_with("//")) {
      return {};
    }
    at = end + 1;
  }
  return {};
}

bool has_entry_point(std::string_view ptx, std::string_view kernel) {
  const std::string text = fmt::format(".entry {}", kernel);
  for (std::size_t at = ptx.find(text); at != std::string_view::npos; at = ptx.find(text, at + 1)) {
    const std::size_t end = at + text.size();
    if (end < ptx.size() && (ptx[end] == '(' || std::isspace(static_cast<unsigned char>(ptx[end])) != 0)) {
      return true;
    }
  }
  return false;
}

std::string defect_of_ptx(std::string_view ptx, std::string_view arch,
                          const std::vector<std::string>& kernels) {
  if (directive(ptx, ".version").empty() || directive(ptx, ".address_size") != "64") {
    return "its PTX is none";
  }
  if (directive(ptx, ".target") != arch) {
    return fmt::format("its PTX is for {}, not for {}", directive(ptx, ".target"), arch);
  }
  for (const std::string& kernel : kernels) {
    if (!has_entry_point(ptx, kernel)) {
      return "its PTX lacks the kernel " + kernel;
    }
  }
  return {};
}

}  // namespace

std::string disproof(const cache::Key& key, const cache::Entry& entry) {
  std::string_view arch;
  std::size_t stages = 0;
  for (const auto& [label, value] : entry.key_fields) {
    stages += label == kernel_field ? 1 : 0;
    if (label == arch_field) {
      arch = value;
    }
  }
  if (cache::key_of_fields(entry.key_fields) != key) {
    return "its fields belong to another key";
  }
  if (arch != entry.arch) {
    return fmt::format("it is for {}, and says {}", arch, entry.arch);
  }
  const std::vector<std::string> kernels = split(entry.lowered_name, '\n');
  if (kernels.size() != stages || std::find(kernels.begin(), kernels.end(), std::string()) != kernels.end()) {
    return fmt::format("it names {} entry points of {}", kernels.size(), stages);
  }
  if (entry.cubin.empty() && entry.ptx.empty()) {
    return "it holds no code";
  }
  std::string defect = entry.cubin.empty() ? std::string() : defect_of_cubin(entry.cubin, arch, kernels);
  if (defect.empty() && !entry.ptx.empty()) {
    defect = defect_of_ptx(entry.ptx, arch, kernels);
  }
  return defect;
}

}  // namespace kerncast
