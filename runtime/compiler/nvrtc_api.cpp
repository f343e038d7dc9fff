#include "runtime/compiler/nvrtc_api.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <system_error>

#include "runtime/compiler/nvrtc_places.hpp"
#include "runtime/compiler/nvrtc_state.hpp"
#include "runtime/util/elf_file.hpp"

namespace kerncast::compiler {
namespace {

namespace fs = std::filesystem;

std::string loader_error() {
  const char* text = dlerror();
  return text != nullptr ? text : "unknown loader error";
}

template <class Function>
bool resolve(void* library, const char* symbol, Function& target, std::string& missing) {
  target = reinterpret_cast<Function>(dlsym(library, symbol));
  if (target == nullptr) {
    missing = symbol;
  }
  return target != nullptr;
}

bool resolve_all(void* library, NvrtcApi& api, std::string& missing) {
  return resolve(library, "nvrtcVersion", api.version, missing) &&
         resolve(library, "nvrtcGetErrorString", api.get_error_string, missing) &&
         resolve(library, "nvrtcGetNumSupportedArchs", api.get_num_supported_archs, missing) &&
         resolve(library, "nvrtcGetSupportedArchs", api.get_supported_archs, missing) &&
         resolve(library, "nvrtcCreateProgram", api.create_program, missing) &&
         resolve(library, "nvrtcDestroyProgram", api.destroy_program, missing) &&
         resolve(library, "nvrtcCompileProgram", api.compile_program, missing) &&
         resolve(library, "nvrtcAddNameExpression", api.add_name_expression, missing) &&
         resolve(library, "nvrtcGetLoweredName", api.get_lowered_name, missing) &&
         resolve(library, "nvrtcGetProgramLogSize", api.get_program_log_size, missing) &&
         resolve(library, "nvrtcGetProgramLog", api.get_program_log, missing) &&
         resolve(library, "nvrtcGetPTXSize", api.get_ptx_size, missing) &&
         resolve(library, "nvrtcGetPTX", api.get_ptx, missing) &&
         resolve(library, "nvrtcGetCUBINSize", api.get_cubin_size, missing) &&
         resolve(library, "nvrtcGetCUBIN", api.get_cubin, missing);
}

/// The file that `symbol` is in, as the loader names it; `fallback` if it does not tell.
std::string loaded_path(const void* symbol, const std::string& fallback) {
  Dl_info info{};
  return dladdr(symbol, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : fallback;
}

std::string resolved_path(const std::string& path) {
  std::error_code error;
  const fs::path canonical = fs::canonical(path, error);
  return error ? path : canonical.string();
}

/// NVRTC opens its built-in functions by a bare name, which the loader does not look for beside NVRTC. If
/// they lie there, as in a wheel, they are loaded first, and the loader then knows the name. False, with the
/// reason, if they are damaged.
bool load_builtins(const Nvrtc& nvrtc, const std::string& path, std::string& refused) {
  const std::string name = fmt::format("libnvrtc-builtins.so.{}", nvrtc.version());
  for (const std::string& library : {path, nvrtc.path}) {
    const fs::path file = fs::path(library).parent_path() / name;
    std::error_code error;
    if (!file.is_absolute() || !fs::exists(file, error)) {
      continue;
    }
    refused = elf_defect(file.string());
    if (refused.empty() && dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
      refused = loader_error();
    }
    if (!refused.empty()) {
      refused = fmt::format("{}: {}", file.string(), refused);
      return false;
    }
    return true;
  }
  return true;
}

/// The library is never closed: NVRTC keeps threads and atexit handlers of its own.
std::shared_ptr<const Nvrtc> open_nvrtc(const std::string& path, std::string& refused) {
  refused = library_defect(path);
  if (!refused.empty()) {
    return nullptr;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    refused = loader_error();
    return nullptr;
  }
  auto nvrtc = std::make_shared<Nvrtc>();
  std::string missing;
  if (!resolve_all(library, nvrtc->api, missing)) {
    refused = fmt::format("has no symbol {}: not NVRTC 12 or later", missing);
    return nullptr;
  }
  if (nvrtc->api.version(&nvrtc->major, &nvrtc->minor) != nvrtc_success) {
    refused = "nvrtcVersion failed";
    return nullptr;
  }
  if (nvrtc->major < 12) {
    refused = fmt::format("is NVRTC {}.{}; 12.0 or later is needed", nvrtc->major, nvrtc->minor);
    return nullptr;
  }
  nvrtc->loaded_as = loaded_path(reinterpret_cast<const void*>(nvrtc->api.version), path);
  nvrtc->identity = file_identity(nvrtc->loaded_as);
  nvrtc->path = resolved_path(nvrtc->loaded_as);
  if (!load_builtins(*nvrtc, path, refused)) {
    return nullptr;
  }
  int count = 0;
  if (nvrtc->api.get_num_supported_archs(&count) == nvrtc_success && count > 0) {
    nvrtc->supported_archs.resize(static_cast<std::size_t>(count));
    if (nvrtc->api.get_supported_archs(nvrtc->supported_archs.data()) != nvrtc_success) {
      nvrtc->supported_archs.clear();
    }
  }
  return nvrtc;
}

/// The advice, then the files that were found but cannot be used, and the places searched.
std::string describe_failure(const NvrtcPlaces& places, const std::vector<NvrtcCandidate>& candidates) {
  std::string advice = places.advice;
  for (const NvrtcCandidate& candidate : candidates) {
    if (candidate.path.find('/') != std::string::npos) {
      advice += fmt::format("; {} cannot be used: {}", candidate.path, candidate.refused);
    }
  }
  if (!places.searched.empty()) {
    advice += fmt::format("; searched: {}", fmt::join(places.searched, ", "));
  }
  return advice;
}

}  // namespace

std::string Nvrtc::version() const {
  return fmt::format("{}.{}", major, minor);
}

NvrtcSearch load_nvrtc(const std::string& choice) {
  const std::string wanted = nvrtc_choice(choice);
  NvrtcSearch search;
  if (wanted == "none") {
    search.remedy = "NVRTC is switched off by KERNCAST_NVRTC=none; unset it, or name a library";
    return search;
  }
  const NvrtcPlaces places = nvrtc_places(wanted);
  for (const std::string& path : places.libraries) {
    NvrtcCandidate candidate{path, {}};
    search.nvrtc = open_nvrtc(path, candidate.refused);
    search.candidates.push_back(std::move(candidate));
    if (search.nvrtc != nullptr) {
      return search;
    }
  }
  search.remedy = describe_failure(places, search.candidates);
  return search;
}

}  // namespace kerncast::compiler
