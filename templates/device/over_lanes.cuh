#pragma once

namespace kerncast {

/// Merges the totals of each aligned run of `Lanes` lanes, those farthest apart first.
template <int Lanes, class Total>
__device__ __forceinline__ void merge_lanes(Total& total) {
#pragma unroll
  for (int mask = Lanes / 2; mask > 0; mask /= 2) {
    total.merge(total.from_lane(mask));
  }
}

}  // namespace kerncast

/// The body of over_lanes<Lanes>() of a total: merge_lanes(), as one block of PTX for the usual numbers of
/// lanes, which shortens the compile. STEP(mask) merges with the lane whose number differs by the bits of the
/// mask, REGISTERS declares what the steps use, and VALUE is the operand %0.
#define KERNCAST_OVER_LANES(REGISTERS, STEP, VALUE)                                              \
  if constexpr (Lanes == 32) {                                                                   \
    asm volatile("{ " REGISTERS STEP("16") STEP("8") STEP("4") STEP("2") STEP("1") "}" : VALUE); \
  } else if constexpr (Lanes == 16) {                                                            \
    asm volatile("{ " REGISTERS STEP("8") STEP("4") STEP("2") STEP("1") "}" : VALUE);            \
  } else {                                                                                       \
    merge_lanes<Lanes>(*this);                                                                   \
  }
