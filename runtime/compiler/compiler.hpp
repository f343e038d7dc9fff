#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/compiler/nvrtc_api.hpp"

namespace kerncast::compiler {

/// One compile: a translation unit with every header that it may include.
struct CompileRequest {
  std::string what;                                          ///< op and specialisation, for messages
  std::string source;                                        ///< text of the translation unit
  std::vector<std::string> kernels;                          ///< name expressions of the kernels to look up
  std::vector<std::pair<std::string, std::string>> headers;  ///< name in the #include, and text
  std::vector<std::string> options;                          ///< all options, among them the architecture
};

/// Resources of one kernel as ptxas reports them; of several kernels, the largest of each figure.
struct Resources {
  int registers = 0;
  int stack_bytes = 0;
  int spill_store_bytes = 0;
  int spill_load_bytes = 0;
  int shared_bytes = 0;
  int constant_bytes = 0;
};

struct CompileResult {
  std::string cubin;
  std::string ptx;
  std::vector<std::string> lowered_names;  ///< in the order of CompileRequest::kernels
  std::string log;
  Resources resources;
  double milliseconds = 0;  ///< time from creating the program to reading its binaries
};

/// Compiles to cubin and PTX in this process. Throws Error(compile_failed) with the numbered source around
/// the first error, the options and the log, and Error(unsupported) if this NVRTC does not support the
/// architecture.
[[nodiscard]] CompileResult compile(const Nvrtc& nvrtc, const CompileRequest& request);

/// Reads registers, spills and memory from `log`, the output of ptxas -v, for the kernel called
/// `lowered_name`.
[[nodiscard]] Resources parse_ptxas_log(const std::string& log, const std::string& lowered_name);

/// The lines of `source` around `line` (1-based), numbered, with a mark at `line`.
[[nodiscard]] std::string numbered_excerpt(const std::string& source, int line, int context = 4);

}  // namespace kerncast::compiler
