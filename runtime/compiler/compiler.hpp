#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/compiler/nvrtc_api.hpp"

namespace kerncast::compiler {

/// A translation unit with everything it may include.
struct CompileRequest {
  std::string what;                                          ///< op and specialisation, for messages
  std::string source;                                        ///< text of the translation unit
  std::vector<std::string> kernels;                          ///< name expressions of the kernels wanted
  std::vector<std::pair<std::string, std::string>> headers;  ///< name as included, text
  std::vector<std::string> options;                          ///< complete, architecture included
};

/// What ptxas says of one kernel, or the most that it says of several.
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
  double milliseconds = 0;  ///< create to binaries read
};

/// One compile to cubin and PTX, in this process. Throws Error(compile_failed) with the numbered source
/// around the first error, the options and the log; Error(unsupported) for an architecture this NVRTC does
/// not know.
[[nodiscard]] CompileResult compile(const Nvrtc& nvrtc, const CompileRequest& request);

/// Reads registers, spills and memory from `log`, the output of ptxas -v, for the kernel called
/// `lowered_name`.
[[nodiscard]] Resources parse_ptxas_log(const std::string& log, const std::string& lowered_name);

/// The lines of `source` around `line` (1-based), numbered, the line itself marked.
[[nodiscard]] std::string numbered_excerpt(const std::string& source, int line, int context = 4);

}  // namespace kerncast::compiler
