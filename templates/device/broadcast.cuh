#pragma once

#include "device/broadcast_args.h"
#include "device/scalar.cuh"
#include "device/span.cuh"

namespace kerncast {

/// row / group, by the reciprocal: its product is exact or one too low.
__device__ __forceinline__ long long group_of(const Broadcast& from, long long row) {
  const long long guess =
      static_cast<long long>(__umul64hi(static_cast<unsigned long long>(row), from.reciprocal));
  return guess + (row - guess * from.group >= from.group ? 1 : 0);
}

/// The part of a broadcast operand, of elements T, that applies to one row.
template <class T, int Form>
class BroadcastRow {
 public:
  using Element = T;
  static constexpr BroadcastForm form = static_cast<BroadcastForm>(Form);
  static constexpr bool present = form != BroadcastForm::none;

  __device__ __forceinline__ BroadcastRow(const Broadcast& from, long long row)
      : row_(static_cast<const T*>(from.data)) {
    if constexpr (form == BroadcastForm::scalar) {
      value_ = load_value(row_);
    } else if constexpr (form == BroadcastForm::grouped) {
      row_ += group_of(from, row) * from.stride;
    } else if constexpr (form == BroadcastForm::token) {
      row_ += row * from.stride;
    }
  }

  /// Loads `Width` elements from `column` on; `Paired` as in load_span.
  template <int Width, bool Paired>
  __device__ __forceinline__ void load(int column, float* out) const {
    if constexpr (form == BroadcastForm::scalar) {
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        out[j] = value_;
      }
    } else if constexpr (present) {
      load_span<T, Width, Paired>(row_ + column, out);
    }
  }

 private:
  const T* row_;
  float value_ = 0.0f;
};

}  // namespace kerncast
