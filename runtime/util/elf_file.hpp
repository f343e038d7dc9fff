#pragma once

#include <string>

namespace kerncast {

/// The fault of the ELF file at `path` as a library to load: it is no ELF file of 64 bits, or shorter
/// than its headers say. Empty if nothing is, or if the file cannot be read. The dynamic loader maps a
/// truncated library without a word, and the process ends by SIGBUS at the first access beyond its end.
[[nodiscard]] std::string elf_defect(const std::string& path);

/// elf_defect() of the file that the dynamic loader would take for `name`: `name` itself if it has a slash,
/// else the first of that name in LD_LIBRARY_PATH and in the usual library folders.
[[nodiscard]] std::string library_defect(const std::string& name);

}  // namespace kerncast
