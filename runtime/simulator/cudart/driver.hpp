#pragma once

#include "runtime/simulator/cudart/types.hpp"
#include "runtime/simulator/driver/abi/symbols.hpp"

/// The driver that the runtime library stands on: whatever library KERNCAST_DRIVER names ("cuda", "sim" or a
/// path), else libcuda.so.1, else the virtual GPU beside this library. It is opened on the first call that
/// needs it, so that loading a program needs no driver, and stays open. Nothing but the documented Driver API
/// is asked of it.
namespace kerncast::cudart {

struct Driver {
  void* library = nullptr;                      ///< null if no driver could be opened
  CUresult state = CUDA_ERROR_NOT_INITIALIZED;  ///< of cuInit
  const char* (*last_fault)() = nullptr;        ///< the virtual GPU's text of the last failure, else null
};

/// The driver, opened by the first call. Thread-safe.
const Driver& driver();

/// The function that the driver exports as `symbol`. If there is no driver or no such function, it is one
/// that ignores its arguments and returns an error. Never null.
void* driver_symbol(const char* symbol);

/// The driver's function `symbol` with its type.
#define KERNCAST_CU(symbol)                                                                          \
  ([]() -> decltype(&::kerncast::simulator::api::symbol) {                                           \
    static const auto entry_point = reinterpret_cast<decltype(&::kerncast::simulator::api::symbol)>( \
        ::kerncast::cudart::driver_symbol(#symbol));                                                 \
    return entry_point;                                                                              \
  }())

}  // namespace kerncast::cudart
