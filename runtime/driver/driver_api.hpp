#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/driver/cuda_types.hpp"

namespace kerncast::driver {

/// The Driver API as a table of functions loaded at run time, under NVIDIA's names. Nothing links libcuda.
struct DriverApi {
#define KERNCAST_DRIVER_FUNCTION(name, symbol, parameters) CUresult(*name) parameters = nullptr;
#include "runtime/driver/driver_functions.inc"
#undef KERNCAST_DRIVER_FUNCTION

  /// Text of this thread's last failed call or of its context's fault. Null unless the driver offers it: the
  /// virtual GPU does, NVIDIA's driver does not.
  const char* (*last_fault)() = nullptr;
};

/// The kind of a driver. For reports only: no code decides by it.
enum class DriverKind : std::uint8_t { cuda, sim, other };

/// Name of a kind: "cuda", "sim" or "other".
[[nodiscard]] std::string_view kind_name(DriverKind kind);

/// A library that was tried, and why it was refused (empty if it was accepted).
struct DriverCandidate {
  std::string path;
  std::string refused;
};

/// A loaded, initialised driver with at least one device.
struct Driver {
  DriverApi api;
  std::string path;  ///< the path that the loader resolved
  int version = 0;   ///< such as 13000
  int device_count = 0;
  DriverKind kind = DriverKind::other;
  bool is_virtual = false;  ///< kind is sim
  void* library = nullptr;  ///< handle from dlopen

  /// The function that the cuda.h of CUDA 12.0 means by `name` ("cuMemAlloc" is cuMemAlloc_v2), else the one
  /// that the library exports as `name`; null if there is none.
  [[nodiscard]] void* symbol(const char* name) const;
};

/// Outcome of the search. `driver` is null if no driver was usable.
struct DriverSearch {
  std::shared_ptr<const Driver> driver;
  std::vector<DriverCandidate> candidates;
};

/// Looks for the driver that `choice` names (empty: KERNCAST_DRIVER): "cuda" is NVIDIA's libcuda.so.1, "sim"
/// the virtual GPU, and anything else is the name or path of a library. Without a choice it is NVIDIA's
/// driver if that has a device, else the virtual GPU. A library that was accepted stays loaded for the life
/// of the process.
[[nodiscard]] DriverSearch search_driver(const std::string& choice = {});

/// Returns the driver that search_driver finds. Throws Error(not_found) that lists every candidate and why it
/// was refused.
[[nodiscard]] std::shared_ptr<const Driver> load_driver(const std::string& choice = {});

}  // namespace kerncast::driver
