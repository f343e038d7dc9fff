#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

/// NVRTC as a table of functions loaded at run time. Nothing links libnvrtc; 12.x and 13.x share this
/// surface.
namespace kerncast::compiler {

using NvrtcResult = int;
using NvrtcProgram = struct NvrtcProgramOpaque*;

constexpr NvrtcResult nvrtc_success = 0;
constexpr NvrtcResult nvrtc_error_invalid_option = 5;
constexpr NvrtcResult nvrtc_error_compilation = 6;

/// The functions used, under NVRTC's own names without the prefix.
struct NvrtcApi {
  NvrtcResult (*version)(int* major, int* minor) = nullptr;
  const char* (*get_error_string)(NvrtcResult) = nullptr;
  NvrtcResult (*get_num_supported_archs)(int*) = nullptr;
  NvrtcResult (*get_supported_archs)(int*) = nullptr;
  NvrtcResult (*create_program)(NvrtcProgram*, const char* source, const char* name, int headers,
                                const char* const* header_texts, const char* const* header_names) = nullptr;
  NvrtcResult (*destroy_program)(NvrtcProgram*) = nullptr;
  NvrtcResult (*compile_program)(NvrtcProgram, int options, const char* const*) = nullptr;
  NvrtcResult (*add_name_expression)(NvrtcProgram, const char*) = nullptr;
  NvrtcResult (*get_lowered_name)(NvrtcProgram, const char* expression, const char** lowered) = nullptr;
  NvrtcResult (*get_program_log_size)(NvrtcProgram, std::size_t*) = nullptr;
  NvrtcResult (*get_program_log)(NvrtcProgram, char*) = nullptr;
  NvrtcResult (*get_ptx_size)(NvrtcProgram, std::size_t*) = nullptr;
  NvrtcResult (*get_ptx)(NvrtcProgram, char*) = nullptr;
  NvrtcResult (*get_cubin_size)(NvrtcProgram, std::size_t*) = nullptr;
  NvrtcResult (*get_cubin)(NvrtcProgram, char*) = nullptr;
};

/// A library that was tried, and why it was refused (empty where it was taken).
struct NvrtcCandidate {
  std::string path;
  std::string refused;
};

/// A loaded NVRTC.
struct Nvrtc {
  NvrtcApi api;
  std::string path;       ///< without symbolic links
  std::string loaded_as;  ///< the path that the loader opened
  std::string identity;   ///< of that file, as file_identity() gives it
  int major = 0;
  int minor = 0;
  std::vector<int> supported_archs;  ///< as 90; empty where the library cannot tell

  [[nodiscard]] std::string version() const;
};

/// Outcome of the search: `nvrtc` is null where none was found, and then `remedy` says what to install.
struct NvrtcSearch {
  std::shared_ptr<const Nvrtc> nvrtc;
  std::vector<NvrtcCandidate> candidates;
  std::string remedy;
};

/// Finds and loads NVRTC. `choice` (empty: KERNCAST_NVRTC) is "none", "toolkit", "wheel", a library, or a
/// folder that holds one; such a choice is never replaced by another. Without a choice the search order is:
/// the dynamic loader's path, CUDA toolkits (CUDA_HOME, CUDA_PATH, /usr/local/cuda), this installation's
/// `lib/kerncast/nvrtc`, `nvrtc/` beside this library or command, the library's own folder, and the packages
/// of the Python in use (VIRTUAL_ENV, CONDA_PREFIX, `python3` on PATH). If nothing is found, `remedy` names
/// the places searched.
[[nodiscard]] NvrtcSearch load_nvrtc(const std::string& choice = {});

}  // namespace kerncast::compiler
