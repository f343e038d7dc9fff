#include <array>
#include <cstring>
#include <string_view>

#include "runtime/simulator/driver_failure.hpp"
#include "runtime/simulator/profile_abi.hpp"

namespace kerncast::simulator::api {
namespace {

struct Symbol {
  std::string_view name;    ///< without a version: the newest stands first
  std::string_view symbol;  ///< as exported
  void* address;
};

const Symbol* find_symbol(std::string_view wanted) {
#define KERNCAST_DRIVER_FUNCTION(name, symbol, parameters) \
  Symbol{#name, #symbol, reinterpret_cast<void*>(&symbol)},
  static const std::array symbols = {
#include "runtime/driver/driver_functions.inc"
#include "runtime/simulator/driver_extra_functions.inc"
      Symbol{"kerncastSimProfile", "kerncastSimProfile", reinterpret_cast<void*>(&kerncastSimProfile)},
      Symbol{"kerncastSimProfileCount", "kerncastSimProfileCount",
             reinterpret_cast<void*>(&kerncastSimProfileCount)},
      Symbol{"kerncastSimProfileLaunch", "kerncastSimProfileLaunch",
             reinterpret_cast<void*>(&kerncastSimProfileLaunch)},
      Symbol{"kerncastSimLastFault", "kerncastSimLastFault", reinterpret_cast<void*>(&kerncastSimLastFault)},
  };
#undef KERNCAST_DRIVER_FUNCTION
  for (const Symbol& candidate : symbols) {
    if (candidate.name == wanted) {
      return &candidate;
    }
  }
  for (const Symbol& candidate : symbols) {
    if (candidate.symbol == wanted) {
      return &candidate;
    }
  }
  return nullptr;
}

}  // namespace

extern "C" {

CUresult cuGetProcAddress_v2(const char* symbol, void** function, int, std::uint64_t,
                             CUdriverProcAddressQueryResult* status) {
  return bare_call([&] {
    require(symbol, "symbol");
    require(static_cast<const void*>(function), "function");
    const Symbol* found = find_symbol(symbol);
    *function = found != nullptr ? found->address : nullptr;
    if (status != nullptr) {
      *status = found != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    }
    if (found == nullptr) {
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

}  // extern "C"

}  // namespace kerncast::simulator::api
