#include "runtime/compiler/nvrtc_api.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace kerncast::compiler {
namespace {

namespace fs = std::filesystem;

// Newest first: a newer NVRTC knows every architecture an older one does that matters here.
constexpr const char* sonames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

constexpr const char* install_remedy =
    "install NVRTC: the CUDA toolkit, or `pip install --target DIR nvidia-cuda-nvrtc` with "
    "KERNCAST_NVRTC=DIR (bash tools/quickstart.sh does this); cached kernels run without it";

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

std::string resolved_path(const void* symbol, const std::string& fallback) {
  Dl_info info{};
  if (dladdr(symbol, &info) != 0 && info.dli_fname != nullptr) {
    std::error_code error;
    const fs::path canonical = fs::canonical(info.dli_fname, error);
    return error ? std::string(info.dli_fname) : canonical.string();
  }
  return fallback;
}

/// The library is never closed: NVRTC keeps threads and atexit handlers of its own.
std::shared_ptr<const Nvrtc> open_nvrtc(const std::string& path, std::string& refused) {
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
  nvrtc->path = resolved_path(reinterpret_cast<const void*>(nvrtc->api.version), path);
  int count = 0;
  if (nvrtc->api.get_num_supported_archs(&count) == nvrtc_success && count > 0) {
    nvrtc->supported_archs.resize(static_cast<std::size_t>(count));
    if (nvrtc->api.get_supported_archs(nvrtc->supported_archs.data()) != nvrtc_success) {
      nvrtc->supported_archs.clear();
    }
  }
  return nvrtc;
}

/// Libraries named libnvrtc.so.N in `folder`, then in the places a wheel or a toolkit keeps them below it.
std::vector<std::string> libraries_below(const fs::path& folder) {
  constexpr const char* places[] = {"",
                                    "lib64",
                                    "lib",
                                    "nvidia/cu13/lib",
                                    "nvidia/cuda_nvrtc/lib",
                                    "targets/x86_64-linux/lib",
                                    "targets/sbsa-linux/lib"};
  std::vector<std::string> found;
  for (const char* place : places) {
    for (const char* soname : sonames) {
      const fs::path path = folder / place / soname;
      std::error_code error;
      if (fs::exists(path, error)) {
        found.push_back(path.string());
      }
    }
  }
  return found;
}

std::vector<std::string> wheel_libraries() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&load_nvrtc), &info) == 0 || info.dli_fname == nullptr) {
    return {};
  }
  std::error_code error;
  fs::path self = fs::canonical(info.dli_fname, error);
  if (error) {
    // A static executable started by name alone: dladdr gives argv[0], which need not be a path.
    self = fs::read_symlink("/proc/self/exe", error);
  }
  std::vector<std::string> found;
  // Executables of a build tree lie in bin/, the command itself in the root.
  for (const fs::path& base : {self.parent_path(), self.parent_path().parent_path()}) {
    for (std::string& path : libraries_below(base / "nvrtc")) {
      found.push_back(std::move(path));
    }
  }
  return found;
}

std::vector<std::string> toolkit_libraries() {
  std::vector<std::string> found;
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value != '\0') {
      for (std::string& path : libraries_below(value)) {
        found.push_back(std::move(path));
      }
    }
  }
  for (std::string& path : libraries_below("/usr/local/cuda")) {
    if (std::find(found.begin(), found.end(), path) == found.end()) {
      found.push_back(std::move(path));
    }
  }
  return found;
}

}  // namespace

std::string Nvrtc::version() const {
  return fmt::format("{}.{}", major, minor);
}

NvrtcSearch load_nvrtc(const std::string& choice) {
  std::string wanted = choice;
  if (wanted.empty()) {
    const char* value = std::getenv("KERNCAST_NVRTC");
    wanted = value != nullptr ? value : "";
  }
  NvrtcSearch search;
  if (wanted == "none") {
    search.remedy = "NVRTC is switched off by KERNCAST_NVRTC=none; unset it, or name a library";
    return search;
  }
  std::vector<std::string> paths;
  const auto append = [&paths](std::vector<std::string> more) {
    paths.insert(paths.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  if (wanted == "wheel") {
    append(wheel_libraries());
    search.remedy =
        "no NVRTC wheel lies beside this build; run `KERNCAST_NVRTC=wheel bash tools/quickstart.sh`";
  } else if (wanted.empty() || wanted == "toolkit") {
    append({std::begin(sonames), std::end(sonames)});
    append(toolkit_libraries());
    if (wanted.empty()) {
      append(wheel_libraries());
    }
    search.remedy = install_remedy;
  } else {
    std::error_code error;
    if (fs::is_directory(wanted, error)) {
      append(libraries_below(wanted));
      search.remedy =
          fmt::format("'{}' (KERNCAST_NVRTC) holds no libnvrtc.so.13 or .12; {}", wanted, install_remedy);
    } else {
      paths.push_back(wanted);
      search.remedy = fmt::format("'{}' (KERNCAST_NVRTC) is not a usable NVRTC; {}", wanted, install_remedy);
    }
  }
  for (const std::string& path : paths) {
    NvrtcCandidate candidate{path, {}};
    search.nvrtc = open_nvrtc(path, candidate.refused);
    search.candidates.push_back(std::move(candidate));
    if (search.nvrtc != nullptr) {
      search.remedy.clear();
      break;
    }
  }
  return search;
}

}  // namespace kerncast::compiler
