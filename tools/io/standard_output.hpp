#pragma once

#include <string>

namespace kerncast::tools {

/// True if `path` stands for standard output: `-`, `/dev/stdout` and its other names.
[[nodiscard]] bool is_standard_output(const std::string& path);

/// Keeps standard output for the data of a file that is written there: what is printed from now on goes to
/// standard error. Throws Error(io_error).
void reserve_standard_output();

/// The descriptor of standard output, also after reserve_standard_output().
[[nodiscard]] int standard_output();

}  // namespace kerncast::tools
