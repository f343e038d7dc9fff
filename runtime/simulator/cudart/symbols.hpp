#pragma once

#include "runtime/simulator/cudart/types.hpp"

/// Declares every C symbol that the runtime library exports.
namespace kerncast::cudart {

extern "C" {
#pragma GCC visibility push(default)
#define KERNCAST_CUDART_FUNCTION(result, name, parameters) result name parameters;
#include "runtime/simulator/cudart/own_functions.def"
#undef KERNCAST_CUDART_FUNCTION
#define KERNCAST_CUDART_DIRECT(name, symbol, call, parameters, arguments) cudaError_t name parameters;
#include "runtime/simulator/cudart/direct_functions.def"
#undef KERNCAST_CUDART_DIRECT
#define KERNCAST_CUDART_PER_THREAD(name, symbol, parameters, arguments) cudaError_t symbol parameters;
#include "runtime/simulator/cudart/per_thread_functions.def"
#undef KERNCAST_CUDART_PER_THREAD
// They are called with arguments, which the caller takes away again.
#define KERNCAST_CUDART_REFUSED(name) cudaError_t name();
#include "runtime/simulator/cudart/refused_functions.def"
#undef KERNCAST_CUDART_REFUSED
#pragma GCC visibility pop
}

}  // namespace kerncast::cudart
