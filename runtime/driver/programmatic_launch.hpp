#pragma once

#include "runtime/driver/cuda_types.hpp"

namespace kerncast::driver {

/// Lets the blocks of the kernel that `config` launches start while the kernel before it in the stream still
/// runs. For devices of sm_90 and later, and kernels that wait for that kernel by themselves.
inline void allow_early_start(CUlaunchConfig& config) noexcept {
  static constexpr CUlaunchAttribute early_start{.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
                                                 .pad = {},
                                                 .value = {.programmaticStreamSerializationAllowed = 1}};
  // The driver reads the attributes before it returns and never writes them.
  config.attrs = const_cast<CUlaunchAttribute*>(&early_start);
  config.numAttrs = 1;
}

}  // namespace kerncast::driver
