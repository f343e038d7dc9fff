#include "runtime/simulator/machine/tensor_map.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string_view>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr std::uint64_t most_elements = std::uint64_t{1} << 32;
constexpr std::uint64_t stride_bound = std::uint64_t{1} << 40;
constexpr std::uint32_t most_box = 256;
constexpr std::uint32_t most_step = 8;
constexpr std::uint64_t unit = 16;

[[noreturn]] void refuse_map(const std::string& what) {
  throw Failure(CUDA_ERROR_INVALID_VALUE, "cuTensorMapEncodeTiled: " + what);
}

[[noreturn]] void lacks_map(std::string_view what) {
  throw Failure(CUDA_ERROR_NOT_SUPPORTED,
                fmt::format("cuTensorMapEncodeTiled: {} are not modelled by the virtual GPU", what));
}

/// Bytes of an element; throws for types that are not copied as they are.
unsigned element_bytes(CUtensorMapDataType type) {
  switch (type) {
    case CU_TENSOR_MAP_DATA_TYPE_UINT8:
      return 1;
    case CU_TENSOR_MAP_DATA_TYPE_UINT16:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT16:
    case CU_TENSOR_MAP_DATA_TYPE_BFLOAT16:
      return 2;
    case CU_TENSOR_MAP_DATA_TYPE_UINT32:
    case CU_TENSOR_MAP_DATA_TYPE_INT32:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32:
      return 4;
    case CU_TENSOR_MAP_DATA_TYPE_UINT64:
    case CU_TENSOR_MAP_DATA_TYPE_INT64:
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT64:
      return 8;
    case CU_TENSOR_MAP_DATA_TYPE_FLOAT32_FTZ:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32:
    case CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ:
      lacks_map("types that a copy rounds or flushes");
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN8B:
    case CU_TENSOR_MAP_DATA_TYPE_16U4_ALIGN16B:
    case CU_TENSOR_MAP_DATA_TYPE_16U6_ALIGN16B:
      lacks_map("packed types of 4 and 6 bits");
  }
  refuse_map(fmt::format("there is no data type {}", static_cast<int>(type)));
}

bool is_float(CUtensorMapDataType type) {
  return type >= CU_TENSOR_MAP_DATA_TYPE_FLOAT16 && type <= CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ;
}

/// Chunks of 16 bytes that the swizzle mixes.
std::uint32_t span_of(CUtensorMapSwizzle swizzle) {
  if (swizzle < CU_TENSOR_MAP_SWIZZLE_NONE || swizzle > CU_TENSOR_MAP_SWIZZLE_128B_ATOM_64B) {
    refuse_map(fmt::format("there is no swizzle {}", static_cast<int>(swizzle)));
  }
  if (swizzle > CU_TENSOR_MAP_SWIZZLE_128B) {
    lacks_map("swizzles of larger atoms");
  }
  return 1U << swizzle;
}

void check_interleave(CUtensorMapInterleave interleave, std::uint32_t rank) {
  if (interleave < CU_TENSOR_MAP_INTERLEAVE_NONE || interleave > CU_TENSOR_MAP_INTERLEAVE_32B) {
    refuse_map(fmt::format("there is no interleave {}", static_cast<int>(interleave)));
  }
  if (interleave != CU_TENSOR_MAP_INTERLEAVE_NONE) {
    if (rank < 3) {
      refuse_map(fmt::format("an interleaved tensor of {} dimensions; it has at least 3", rank));
    }
    lacks_map("interleaved tensors");
  }
}

void check_fill(CUtensorMapFloatOOBfill fill, CUtensorMapDataType type) {
  if (fill < CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE || fill > CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA) {
    refuse_map(fmt::format("there is no fill {}", static_cast<int>(fill)));
  }
  if (fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) {
    if (!is_float(type)) {
      refuse_map("NaN fills tensors of floats only");
    }
    lacks_map("fills with NaN");
  }
}

}  // namespace

extern "C" {

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType type, std::uint32_t rank, void* address,
                                const std::uint64_t* dimensions, const std::uint64_t* strides,
                                const std::uint32_t* box, const std::uint32_t* steps,
                                CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  return driver_call([&] {
    require(map, "map");
    if (state().arch.sm < 90) {
      throw Failure(CUDA_ERROR_NOT_SUPPORTED, "tensor maps need a device of sm_90 or above");
    }
    if (reinterpret_cast<std::uintptr_t>(map) % 64 != 0) {
      refuse_map("the map is not aligned to 64 bytes");
    }
    if (rank == 0 || rank > most_tensor_dimensions) {
      refuse_map(fmt::format("{} dimensions; a tensor has 1 to 5", rank));
    }
    const unsigned bytes = element_bytes(type);
    check_interleave(interleave, rank);
    const std::uint32_t span = span_of(swizzle);
    if (promotion < CU_TENSOR_MAP_L2_PROMOTION_NONE || promotion > CU_TENSOR_MAP_L2_PROMOTION_L2_256B) {
      refuse_map(fmt::format("there is no L2 promotion {}", static_cast<int>(promotion)));
    }
    check_fill(fill, type);
    require(address, "address");
    require(dimensions, "dimensions");
    require(box, "box");
    require(steps, "steps");
    if (rank > 1) {
      require(strides, "strides");
    }
    const auto first = reinterpret_cast<std::uintptr_t>(address);
    if (first % unit != 0) {
      refuse_map(fmt::format("the address {:#x} is not a multiple of 16", first));
    }
    TensorMap made;
    made.marked = TensorMap::mark;
    made.address = first;
    made.rank = static_cast<std::uint8_t>(rank);
    made.element_bytes = static_cast<std::uint8_t>(bytes);
    made.span = static_cast<std::uint8_t>(span);
    for (std::uint32_t i = 0; i < rank; ++i) {
      if (dimensions[i] == 0 || dimensions[i] > most_elements) {
        refuse_map(fmt::format("dimension {} has {} elements; it has 1 to 2^32", i, dimensions[i]));
      }
      if (box[i] == 0 || box[i] > most_box) {
        refuse_map(fmt::format("the box has {} elements along dimension {}; it has 1 to 256", box[i], i));
      }
      if (steps[i] == 0 || steps[i] > most_step) {
        refuse_map(fmt::format("the step along dimension {} is {}; it is 1 to 8", i, steps[i]));
      }
      const std::uint64_t stride = i == 0 ? bytes : strides[i - 1];
      if (i != 0 && (stride % unit != 0 || stride >= stride_bound)) {
        refuse_map(fmt::format("the stride of dimension {} is {} bytes; it is a multiple of 16 below 2^40", i,
                               stride));
      }
      made.stride[i] = stride;
      made.last[i] = static_cast<std::uint32_t>(dimensions[i] - 1);
      made.box[i] = static_cast<std::uint16_t>(box[i]);
      // Without interleaving the first step is ignored.
      made.step[i] = static_cast<std::uint8_t>(i == 0 ? 1 : steps[i]);
    }
    const std::uint64_t row = std::uint64_t{box[0]} * bytes;
    if (row % unit != 0) {
      refuse_map(fmt::format("a row of the box has {} bytes; it has a multiple of 16", row));
    }
    if (span > 1 && row > span * unit) {
      refuse_map(fmt::format("a row of the box has {} bytes, more than the swizzle's {}", row, span * unit));
    }
    std::memcpy(map, &made, sizeof(made));
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
