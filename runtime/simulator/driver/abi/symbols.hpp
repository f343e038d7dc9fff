#pragma once

#include "runtime/driver/cuda_types.hpp"
#include "runtime/simulator/driver/abi/types.hpp"

/// Declares every C symbol the virtual GPU exports, so that each definition is checked against the table that
/// loads it.
namespace kerncast::simulator::api {

using namespace kerncast::driver;

extern "C" {
#pragma GCC visibility push(default)
#define KERNCAST_DRIVER_FUNCTION(name, symbol, parameters) CUresult symbol parameters;
#include "runtime/driver/driver_functions.inc"
#include "runtime/simulator/driver/abi/extra_functions.def"
#undef KERNCAST_DRIVER_FUNCTION
#define KERNCAST_PER_THREAD_FUNCTION(name, symbol, plain, version, parameters, arguments) \
  CUresult symbol parameters;
#include "runtime/simulator/driver/abi/per_thread_functions.def"
#undef KERNCAST_PER_THREAD_FUNCTION
// They are called with arguments, which the caller takes away again.
#define KERNCAST_REFUSED_FUNCTION(name, symbol) CUresult symbol();
#include "runtime/simulator/driver/abi/refused_functions.def"
#undef KERNCAST_REFUSED_FUNCTION

/// Text of this thread's last failed call, or of the fault of its current context; null if there is neither.
/// Valid until the thread's next call.
const char* kerncastSimLastFault();
#pragma GCC visibility pop
}

}  // namespace kerncast::simulator::api
