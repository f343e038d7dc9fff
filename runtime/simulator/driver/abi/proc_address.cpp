#include <fmt/format.h>

#include <array>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/watch/profile_abi.hpp"

namespace kerncast::simulator::api {
namespace {

struct Symbol {
  std::string_view name;    ///< as callers ask for it, without a version
  std::string_view symbol;  ///< as exported
  void* address;
  int version;  ///< of the interface that brought it, as 12020
};

constexpr Symbol plain_symbols[] = {
#define KERNCAST_DRIVER_VERSION(name, symbol, version) {#name, #symbol, nullptr, version},
#include "runtime/simulator/driver/abi/versions.def"
#undef KERNCAST_DRIVER_VERSION
};

void* address_of(std::size_t index) {
#define KERNCAST_DRIVER_VERSION(name, symbol, version) reinterpret_cast<void*>(&symbol),
  static void* const addresses[] = {
#include "runtime/simulator/driver/abi/versions.def"
  };
#undef KERNCAST_DRIVER_VERSION
  return addresses[index];
}

const Symbol* find_per_thread(std::string_view wanted, int version) {
#define KERNCAST_PER_THREAD_FUNCTION(name, symbol, plain, version, parameters, arguments) \
  Symbol{#name, #symbol, reinterpret_cast<void*>(&symbol), version},
  static const Symbol symbols[] = {
#include "runtime/simulator/driver/abi/per_thread_functions.def"
  };
#undef KERNCAST_PER_THREAD_FUNCTION
  const Symbol* best = nullptr;
  for (const Symbol& candidate : symbols) {
    if (candidate.name == wanted && candidate.version <= version &&
        (best == nullptr || candidate.version > best->version)) {
      best = &candidate;
    }
  }
  return best;
}

/// Finds a function by its exported symbol: for callers that know the symbol, and for functions of which no
/// version is known.
void* find_exported(std::string_view wanted) {
#define KERNCAST_DRIVER_FUNCTION(name, symbol, parameters) \
  if (wanted == #symbol) {                                 \
    return reinterpret_cast<void*>(&symbol);               \
  }
#include "runtime/driver/driver_functions.inc"
#include "runtime/simulator/driver/abi/extra_functions.def"
#undef KERNCAST_DRIVER_FUNCTION
#define KERNCAST_REFUSED_FUNCTION(name, symbol) \
  if (wanted == #name || wanted == #symbol) {   \
    return reinterpret_cast<void*>(&symbol);    \
  }
#include "runtime/simulator/driver/abi/refused_functions.def"
#undef KERNCAST_REFUSED_FUNCTION
  const std::array own = {
      std::pair<std::string_view, void*>{"kerncastSimLastFault",
                                         reinterpret_cast<void*>(&kerncastSimLastFault)},
      std::pair<std::string_view, void*>{"kerncastSimProfile", reinterpret_cast<void*>(&kerncastSimProfile)},
      std::pair<std::string_view, void*>{"kerncastSimProfileCount",
                                         reinterpret_cast<void*>(&kerncastSimProfileCount)},
      std::pair<std::string_view, void*>{"kerncastSimProfileLaunch",
                                         reinterpret_cast<void*>(&kerncastSimProfileLaunch)},
  };
  for (const auto& [name, address] : own) {
    if (name == wanted) {
      return address;
    }
  }
  return nullptr;
}

struct Found {
  void* address = nullptr;
  CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
};

/// The newest form of a function that `version` of the interface has.
Found find(std::string_view wanted, int version, bool per_thread) {
  if (per_thread) {
    if (const Symbol* found = find_per_thread(wanted, version); found != nullptr) {
      return {found->address, CU_GET_PROC_ADDRESS_SUCCESS};
    }
  }
  Found found;
  int best = -1;
  for (std::size_t i = 0; i < std::size(plain_symbols); ++i) {
    const Symbol& candidate = plain_symbols[i];
    if (candidate.name != wanted) {
      continue;
    }
    if (candidate.version <= version && candidate.version > best) {
      best = candidate.version;
      found = {address_of(i), CU_GET_PROC_ADDRESS_SUCCESS};
    } else if (best < 0) {
      found.status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
    }
  }
  if (found.status == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND) {
    if (void* address = find_exported(wanted); address != nullptr) {
      return {address, CU_GET_PROC_ADDRESS_SUCCESS};
    }
  }
  return found;
}

}  // namespace

extern "C" {

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int version, std::uint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  return bare_call([&] {
    require(symbol, "symbol");
    require(static_cast<const void*>(function), "function");
    *function = nullptr;
    int driver = 0;
    cuDriverGetVersion(&driver);
    if (version > driver || flags > 2) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{} of version {} with flags {:#x}; the driver's version is {}", symbol,
                                version, flags, driver));
    }
    constexpr std::uint64_t per_thread_default_stream = 2;
    const Found found = find(symbol, version, flags == per_thread_default_stream);
    *function = found.address;
    if (status != nullptr) {
      *status = found.status;
    } else if (found.address == nullptr) {
      throw Failure(CUDA_ERROR_NOT_FOUND, std::string("the virtual GPU has no function ") + symbol);
    }
    return CUDA_SUCCESS;
  });
}

CUresult cuGetProcAddress(const char* symbol, void** function, int version, std::uint64_t flags) {
  return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}

// The tables behind this call are NVIDIA's own and undocumented.
CUresult cuGetExportTable(const void** table, const CUuuid*) {
  return bare_call([&] {
    require(static_cast<const void*>(table), "table");
    *table = nullptr;
    return CUDA_ERROR_NOT_FOUND;
  });
}

#define KERNCAST_PER_THREAD_FUNCTION(name, symbol, plain, version, parameters, arguments) \
  CUresult symbol parameters {                                                            \
    const PerThreadDefault scope;                                                         \
    return plain arguments;                                                               \
  }
#include "runtime/simulator/driver/abi/per_thread_functions.def"
#undef KERNCAST_PER_THREAD_FUNCTION

#define KERNCAST_REFUSED_FUNCTION(name, symbol)                                         \
  CUresult symbol() {                                                                   \
    return bare_call([]() -> CUresult {                                                 \
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "the virtual GPU does not offer " #name); \
    });                                                                                 \
  }
#include "runtime/simulator/driver/abi/refused_functions.def"
#undef KERNCAST_REFUSED_FUNCTION

}  // extern "C"

}  // namespace kerncast::simulator::api
