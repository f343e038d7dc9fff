#include "runtime/compiler/nvrtc_api.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "runtime/util/elf_file.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/own_folder.hpp"

namespace kerncast::compiler {
namespace {

namespace fs = std::filesystem;

// Newest first. A newer NVRTC still supports every architecture we target.
constexpr const char* sonames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

constexpr const char* install_remedy =
    "install NVRTC: the CUDA toolkit, or `pip install nvidia-cuda-nvrtc` in the active Python environment, "
    "or name a "
    "folder that holds it by KERNCAST_NVRTC; kernels that are in the cache run without it";

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
  nvrtc->path = resolved_path(reinterpret_cast<const void*>(nvrtc->api.version), path);
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

/// The libraries to try, in order, and the places that were looked into, for the error message.
struct Places {
  std::vector<std::string> libraries;
  std::vector<std::string> searched;
};

/// Adds the libraries named libnvrtc.so.N in `folder` and in the subfolders that a wheel or a toolkit keeps
/// them in.
void add_folder(Places& places, const fs::path& folder) {
  constexpr const char* subfolders[] = {"",
                                        "lib64",
                                        "lib",
                                        "nvidia/cu13/lib",
                                        "nvidia/cuda_nvrtc/lib",
                                        "targets/x86_64-linux/lib",
                                        "targets/sbsa-linux/lib"};
  if (std::find(places.searched.begin(), places.searched.end(), folder.string()) != places.searched.end()) {
    return;
  }
  places.searched.push_back(folder.string());
  for (const char* subfolder : subfolders) {
    for (const char* soname : sonames) {
      const fs::path path = folder / subfolder / soname;
      std::error_code error;
      if (fs::exists(path, error)) {
        places.libraries.push_back(path.string());
      }
    }
  }
}

/// Adds the prefix that this library is installed in, and the folders beside it.
void add_own_prefix(Places& places) {
  const fs::path folder = own_folder();
  if (!folder.empty()) {
    add_folder(places, folder / "kerncast/nvrtc");
    add_folder(places, folder.parent_path() / KERNCAST_INSTALL_LIBDIR / "kerncast/nvrtc");
  }
  if (constexpr std::string_view installed = KERNCAST_INSTALL_FULL_LIBDIR; !installed.empty()) {
    add_folder(places, fs::path(installed) / "kerncast/nvrtc");
  }
  if (folder.empty()) {
    return;
  }
  // In the Python package the wheels of its environment lie beside the folder.
  if (std::error_code error; fs::exists(folder / "__init__.py", error)) {
    add_folder(places, folder.parent_path());
  }
  // In a build tree the command lies in the root, other programs in bin.
  add_folder(places, folder / "nvrtc");
  add_folder(places, folder.parent_path() / "nvrtc");
  add_folder(places, folder);
}

/// Adds the package folders of the Python installed in `prefix`, those of the newest version first.
void add_python(Places& places, const fs::path& prefix) {
  std::vector<fs::path> versions;
  std::error_code error;
  for (fs::directory_iterator entry(prefix / "lib", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with("python3")) {
      versions.push_back(entry->path());
    }
  }
  std::sort(versions.begin(), versions.end(), [](const fs::path& a, const fs::path& b) {
    const std::string& left = a.native();
    const std::string& right = b.native();
    return left.size() != right.size() ? left.size() > right.size() : left > right;
  });
  for (const fs::path& version : versions) {
    for (const char* packages : {"site-packages", "dist-packages"}) {
      if (fs::is_directory(version / packages, error)) {
        add_folder(places, version / packages);
      }
    }
  }
}

/// Adds the package folders of the Python that `python3` on PATH starts, without starting it.
void add_python_on_path(Places& places) {
  const std::string path = environment("PATH");
  std::size_t begin = 0;
  while (begin < path.size()) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const fs::path folder = path.substr(begin, end - begin);
    begin = end + 1;
    std::error_code error;
    if (!folder.is_absolute() || !fs::exists(folder / "python3", error)) {
      continue;
    }
    // The folder above is the prefix of a virtual environment; the resolved file's prefix is the Python
    // behind it.
    add_python(places, folder.parent_path());
    const fs::path resolved = fs::canonical(folder / "python3", error);
    const fs::path prefix = resolved.parent_path().parent_path();
    add_python(places, prefix);
    if (prefix == "/usr") {
      add_python(places, "/usr/local");
    }
    if (const std::string home = environment("HOME"); !home.empty()) {
      add_python(places, fs::path(home) / ".local");
    }
    return;
  }
}

/// Adds the wheels: the one in this installation or build, then those of the Python environment in use.
void add_wheels(Places& places) {
  add_own_prefix(places);
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    if (const std::string value = environment(variable); !value.empty()) {
      add_python(places, value);
      add_folder(places, value);
    }
  }
  add_python_on_path(places);
}

/// Adds what the dynamic loader finds by name, then the CUDA toolkits.
void add_toolkits(Places& places) {
  places.libraries.insert(places.libraries.end(), std::begin(sonames), std::end(sonames));
  places.searched.emplace_back("the dynamic loader's path");
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const std::string value = environment(variable); !value.empty()) {
      add_folder(places, value);
    }
  }
  add_folder(places, "/usr/local/cuda");
}

/// `advice`, then the files that were found but cannot be used, and the places searched.
std::string describe_failure(std::string advice, const Places& places,
                             const std::vector<NvrtcCandidate>& candidates) {
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
  const std::string wanted = choice.empty() ? environment("KERNCAST_NVRTC") : choice;
  NvrtcSearch search;
  if (wanted == "none") {
    search.remedy = "NVRTC is switched off by KERNCAST_NVRTC=none; unset it, or name a library";
    return search;
  }
  Places places;
  std::string advice = install_remedy;
  std::error_code error;
  if (wanted.empty()) {
    add_toolkits(places);
    add_wheels(places);
  } else if (wanted == "toolkit") {
    add_toolkits(places);
  } else if (wanted == "wheel") {
    add_wheels(places);
    advice =
        "KERNCAST_NVRTC=wheel finds no wheel of NVRTC; run `pip install nvidia-cuda-nvrtc` in the active "
        "Python "
        "environment, or `KERNCAST_NVRTC=wheel bash tools/quickstart.sh` in the source tree";
  } else if (fs::is_directory(wanted, error)) {
    add_folder(places, wanted);
    places.searched.clear();
    advice = fmt::format("'{}' (KERNCAST_NVRTC) holds no libnvrtc.so.13 or .12; {}", wanted, install_remedy);
  } else {
    places.libraries.push_back(wanted);
    advice = fmt::format("'{}' (KERNCAST_NVRTC) is not a usable NVRTC; {}", wanted, install_remedy);
  }
  for (const std::string& path : places.libraries) {
    NvrtcCandidate candidate{path, {}};
    search.nvrtc = open_nvrtc(path, candidate.refused);
    search.candidates.push_back(std::move(candidate));
    if (search.nvrtc != nullptr) {
      return search;
    }
  }
  search.remedy = describe_failure(std::move(advice), places, search.candidates);
  return search;
}

}  // namespace kerncast::compiler
