#include "runtime/driver/driver_api.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/util/elf_file.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/own_folder.hpp"

namespace kerncast::driver {
namespace {

namespace fs = std::filesystem;

constexpr const char* nvidia_library = "libcuda.so.1";
constexpr const char* virtual_library = "libkerncast-sim.so";

/// Places where the virtual GPU may be: beside the file that holds this code, in the library folders next to
/// it, or where it was installed.
std::vector<std::string> virtual_paths() {
  std::vector<fs::path> places;
  if (const fs::path folder = own_folder(); !folder.empty()) {
    const fs::path above = folder.parent_path();
    places = {folder, above, above / "lib", above / KERNCAST_INSTALL_LIBDIR};
  }
  if (constexpr std::string_view installed = KERNCAST_INSTALL_FULL_LIBDIR; !installed.empty()) {
    places.emplace_back(installed);
  }
  std::vector<std::string> paths;
  for (const fs::path& place : places) {
    std::error_code error;
    const fs::path path = fs::canonical(place / virtual_library, error);
    if (!error && std::find(paths.begin(), paths.end(), path.string()) == paths.end()) {
      paths.push_back(path.string());
    }
  }
  paths.emplace_back(virtual_library);
  return paths;
}

std::string describe(const DriverApi& api, CUresult result) {
  const char* name = nullptr;
  const char* text = nullptr;
  api.cuGetErrorName(result, &name);
  api.cuGetErrorString(result, &text);
  std::string words = fmt::format("{} ({}): {}", name != nullptr ? name : "unknown error",
                                  static_cast<int>(result), text != nullptr ? text : "no description");
  const char* detail = api.last_fault != nullptr ? api.last_fault() : nullptr;
  if (detail != nullptr && *detail != '\0') {
    words += fmt::format(": {}", detail);
  }
  return words;
}

/// The library stays open for the life of the process, since a driver runs threads of its own.
std::shared_ptr<const Driver> open_driver(const std::string& path, std::string& refused) {
  refused = library_defect(path);
  if (!refused.empty()) {
    return nullptr;
  }
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* text = dlerror();
    refused = text != nullptr ? text : "unknown loader error";
    return nullptr;
  }
  auto driver = std::make_shared<Driver>();
  driver->library = library;
  std::string missing;
#define KERNCAST_DRIVER_FUNCTION(name, symbol, parameters)                                  \
  driver->api.name = reinterpret_cast<decltype(driver->api.name)>(dlsym(library, #symbol)); \
  if (driver->api.name == nullptr) {                                                        \
    missing += missing.empty() ? #symbol : ", " #symbol;                                    \
  }
#include "runtime/driver/driver_functions.inc"
#undef KERNCAST_DRIVER_FUNCTION
  if (!missing.empty()) {
    // A library that is no driver lacks all of them, and one name says that as well.
    const auto others = std::count(missing.begin(), missing.end(), ',');
    refused = fmt::format("lacks {}{}: a driver of CUDA 12 or later is needed",
                          std::string_view(missing).substr(0, missing.find(',')),
                          others > 0 ? fmt::format(" and {} other functions", others) : std::string());
    dlclose(library);
    return nullptr;
  }
  driver->api.last_fault = reinterpret_cast<const char* (*)()>(dlsym(library, "kerncastSimLastFault"));
  if (const CUresult result = driver->api.cuInit(0); result != CUDA_SUCCESS) {
    refused = fmt::format("cuInit failed: {}", describe(driver->api, result));
    return nullptr;
  }
  if (const CUresult result = driver->api.cuDriverGetVersion(&driver->version); result != CUDA_SUCCESS) {
    refused = fmt::format("cuDriverGetVersion failed: {}", describe(driver->api, result));
    return nullptr;
  }
  if (const CUresult result = driver->api.cuDeviceGetCount(&driver->device_count); result != CUDA_SUCCESS) {
    refused = fmt::format("cuDeviceGetCount failed: {}", describe(driver->api, result));
    return nullptr;
  }
  if (driver->device_count == 0) {
    refused = "has no device";
    return nullptr;
  }
  Dl_info info{};
  const bool located = dladdr(reinterpret_cast<const void*>(driver->api.cuInit), &info) != 0;
  driver->path = located && info.dli_fname != nullptr ? info.dli_fname : path;
  if (driver->api.last_fault != nullptr) {
    driver->kind = DriverKind::sim;
    driver->is_virtual = true;
  } else if (fs::path(driver->path).filename().string().starts_with("libcuda.so")) {
    driver->kind = DriverKind::cuda;
  }
  return driver;
}

}  // namespace

void* Driver::symbol(const char* name) const {
  // Under the bare name a library exports the oldest form of a function, whose parameters are other ones. The
  // header of the oldest driver that is supported gives the same form with every driver.
  constexpr int header_version = 12000;
  constexpr std::uint64_t default_stream_as_compiled = 0;
  // The one name for which that header and cuGetProcAddress disagree.
  if (std::string_view(name) == "cuCtxCreate") {
    name = "cuCtxCreate_v2";
  }
  void* function = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  if (api.cuGetProcAddress(name, &function, header_version, default_stream_as_compiled, &status) ==
          CUDA_SUCCESS &&
      function != nullptr) {
    return function;
  }
  return dlsym(library, name);
}

std::string_view kind_name(DriverKind kind) {
  switch (kind) {
    case DriverKind::cuda:
      return "cuda";
    case DriverKind::sim:
      return "sim";
    case DriverKind::other:
      break;
  }
  return "other";
}

DriverSearch search_driver(const std::string& choice) {
  const std::string wanted = choice.empty() ? environment("KERNCAST_DRIVER") : choice;
  std::vector<std::string> paths;
  if (wanted.empty() || wanted == "cuda") {
    paths.emplace_back(nvidia_library);
  }
  if (wanted.empty() || wanted == "sim") {
    for (std::string& path : virtual_paths()) {
      paths.push_back(std::move(path));
    }
  }
  if (paths.empty()) {
    paths.push_back(wanted);
  }
  DriverSearch search;
  for (const std::string& path : paths) {
    DriverCandidate candidate{path, {}};
    search.driver = open_driver(path, candidate.refused);
    search.candidates.push_back(std::move(candidate));
    if (search.driver != nullptr) {
      break;
    }
  }
  return search;
}

std::shared_ptr<const Driver> load_driver(const std::string& choice) {
  DriverSearch search = search_driver(choice);
  if (search.driver == nullptr) {
    std::string tried;
    for (const DriverCandidate& candidate : search.candidates) {
      tried += fmt::format("\n  {}: {}", candidate.path, candidate.refused);
    }
    throw Error(
        ErrorCode::not_found,
        fmt::format("no usable driver:{}\nInstall NVIDIA's driver, or put libkerncast-sim.so beside the "
                    "program, or set KERNCAST_DRIVER to cuda, sim or a path",
                    tried));
  }
  return search.driver;
}

}  // namespace kerncast::driver
