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
#define KERNCAST_DRIVER_FUNCTION(name, symbol, parameters) \
  CUresult(*name) parameters = nullptr;  // NOLINT(bugprone-macro-parentheses)
#include "runtime/driver/driver_functions.inc"
#undef KERNCAST_DRIVER_FUNCTION

  /// Text of this thread's last failed call or of its context's fault, where the driver offers it (the
  /// virtual GPU does); null in NVIDIA's.
  const char* (*last_fault)() = nullptr;
};

/// Which driver it is. For reports only: nothing decides by it.
enum class DriverKind : std::uint8_t { cuda, sim, other };

/// "cuda", "sim" or "other".
[[nodiscard]] std::string_view kind_name(DriverKind kind);

/// A library that was tried, and why it was refused (empty where it was taken).
struct DriverCandidate {
  std::string path;
  std::string refused;
};

/// A loaded, initialised driver with at least one device.
struct Driver {
  DriverApi api;
  std::string path;  ///< as resolved by the loader
  int version = 0;   ///< as 13000
  int device_count = 0;
  DriverKind kind = DriverKind::other;
  bool is_virtual = false;  ///< kind is sim
  void* library = nullptr;  ///< as dlopen gave it

  /// Any function the library exports, by symbol ("cuMemAlloc_v2"); null where it has none of that name.
  [[nodiscard]] void* symbol(const char* name) const;
};

/// Outcome of the search: `driver` is null where none was usable.
struct DriverSearch {
  std::shared_ptr<const Driver> driver;
  std::vector<DriverCandidate> candidates;
};

/// Tries, in order, what `choice` (empty: KERNCAST_DRIVER) allows: "cuda" NVIDIA's libcuda.so.1, "sim" the
/// virtual GPU, anything else the library of that name or path. With no choice, NVIDIA's if it has a device,
/// else the virtual GPU. A library once taken stays loaded for the life of the process.
[[nodiscard]] DriverSearch search_driver(const std::string& choice = {});

/// As search_driver; throws Error(not_found) with every candidate and its refusal.
[[nodiscard]] std::shared_ptr<const Driver> load_driver(const std::string& choice = {});

}  // namespace kerncast::driver
