#include "runtime/simulator/cudart/symbols.hpp"

#include "runtime/simulator/cudart/context.hpp"

namespace kerncast::cudart {

extern "C" {

#define KERNCAST_CUDART_DIRECT(name, symbol, call, parameters, arguments) \
  cudaError_t name parameters {                                           \
    return call([&] { return KERNCAST_CU(symbol) arguments; });           \
  }
#include "runtime/simulator/cudart/direct_functions.def"
#undef KERNCAST_CUDART_DIRECT

#define KERNCAST_CUDART_PER_THREAD(name, symbol, parameters, arguments) \
  cudaError_t symbol parameters {                                       \
    const PerThreadDefault scope;                                       \
    return name arguments;                                              \
  }
#include "runtime/simulator/cudart/per_thread_functions.def"
#undef KERNCAST_CUDART_PER_THREAD

#define KERNCAST_CUDART_REFUSED(name)                                                            \
  cudaError_t name() {                                                                           \
    return finish(Failure(cudaErrorNotSupported, "this runtime library does not offer " #name)); \
  }
#include "runtime/simulator/cudart/refused_functions.def"
#undef KERNCAST_CUDART_REFUSED

}  // extern "C"

}  // namespace kerncast::cudart
