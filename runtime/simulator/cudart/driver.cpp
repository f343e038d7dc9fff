#include "runtime/simulator/cudart/driver.hpp"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/util/environment.hpp"
#include "runtime/util/own_folder.hpp"

namespace kerncast::cudart {
namespace {

namespace fs = std::filesystem;

CUresult without_driver() {
  return CUDA_ERROR_NOT_INITIALIZED;
}

CUresult not_offered() {
  return CUDA_ERROR_NOT_SUPPORTED;
}

/// Places of the virtual GPU: beside this library and up to two folders above it, as in a build and in an
/// installation; then wherever the loader finds it.
std::vector<std::string> virtual_paths() {
  const std::string name = "libkerncast-sim.so";
  std::vector<std::string> paths;
  fs::path folder = own_folder();
  for (int up = 0; up < 3 && !folder.empty(); ++up, folder = folder.parent_path()) {
    std::error_code error;
    if (fs::exists(folder / name, error)) {
      paths.push_back((folder / name).string());
    }
  }
  paths.push_back(name);
  return paths;
}

Driver open(const std::string& path) {
  Driver found;
  found.library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (found.library == nullptr) {
    return found;
  }
  const auto init = reinterpret_cast<decltype(&simulator::api::cuInit)>(dlsym(found.library, "cuInit"));
  if (init == nullptr) {
    dlclose(found.library);
    found.library = nullptr;
    return found;
  }
  found.state = init(0);
  found.last_fault = reinterpret_cast<const char* (*)()>(dlsym(found.library, "kerncastSimLastFault"));
  return found;
}

Driver search() {
  const std::string choice = environment("KERNCAST_DRIVER");
  std::vector<std::string> paths;
  if (choice.empty() || choice == "cuda") {
    paths.emplace_back("libcuda.so.1");
  }
  if (choice.empty() || choice == "sim") {
    for (std::string& path : virtual_paths()) {
      paths.push_back(std::move(path));
    }
  }
  if (paths.empty()) {
    paths.push_back(choice);
  }
  Driver first;
  for (const std::string& path : paths) {
    const Driver opened = open(path);
    if (opened.library != nullptr && opened.state == CUDA_SUCCESS) {
      return opened;
    }
    if (first.library == nullptr) {
      first = opened;
    }
  }
  return first;
}

}  // namespace

const Driver& driver() {
  static const Driver found = search();
  return found;
}

void* driver_symbol(const char* symbol) {
  const Driver& found = driver();
  if (found.library == nullptr) {
    return reinterpret_cast<void*>(&without_driver);
  }
  void* address = dlsym(found.library, symbol);
  return address != nullptr ? address : reinterpret_cast<void*>(&not_offered);
}

}  // namespace kerncast::cudart
