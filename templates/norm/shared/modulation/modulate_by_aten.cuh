#pragma once

#include "device/broadcast_args.h"
#include "device/promote.cuh"
#include "device/round.cuh"
#include "norm/shared/modulation/modulators.cuh"
#include "norm/shared/public/aten_rounding.h"

/// An element on its way from the norm to y in the roundings of eager torch.
namespace kerncast::norm {

/// The dtypes to which torch's operators round an element on its way from a row of `Row` to y.
template <class Config, class Row>
struct AtenTypes {
  static constexpr auto rounding = static_cast<AtenRounding>(Config::aten_rounding);
  static constexpr bool split = rounding == AtenRounding::split_norm;
  template <bool First, class A, class B>
  using Either = typename Choose<First, A, B>::type;
  template <int Form, class T>
  using With = Either<Form == static_cast<int>(BroadcastForm::none), T,
                      Promoted<T, typename Config::modulation_dtype>>;

  using Weighted = Either<split && Config::has_weight, typename Config::weight_dtype, Row>;
  using Norm = Either<rounding == AtenRounding::f32_norm, f32, Weighted>;
  using Scaled = With<Config::scale_form, Norm>;
  using Shifted = With<Config::shift_form, Scaled>;
  /// The store rounds to y_dtype.
  using Last = Either<is_same<Shifted, typename Config::y_dtype>, f32, Shifted>;
};

/// values[j] = combine(values[j], j), rounded to T.
template <class T, int Width, class Combine>
__device__ __forceinline__ void operate(float* values, const Combine& combine) {
#pragma unroll
  for (int j = 0; j < Width; ++j) {
    values[j] = combine(values[j], j);
  }
  round_values<T, Width>(values);
}

/// modulated() of `Width` elements in the roundings of torch. No product is fused with the addition after it
/// if that is another operator.
template <class Config, class Row, int Width>
__device__ __forceinline__ void modulate_by_aten(float* n, Modulators<Width>& with) {
  using Types = AtenTypes<Config, Row>;
  using Norm = typename Types::Norm;
  // An operator whose result the next one takes in f32.
  using Part = typename Choose<Types::split, Norm, f32>::type;
  round_values<Part, Width>(n);
  if constexpr (Config::has_weight) {
    operate<Part, Width>(n, [&](float value, int j) {
      return Types::split ? __fmul_rn(value, with.weights[j]) : value * with.weights[j];
    });
  }
  if constexpr (Config::has_bias) {
    operate<Part, Width>(n, [&](float value, int j) { return value + with.biases[j]; });
  }
  if constexpr (!Types::split) {
    round_values<Norm, Width>(n);
  }
  if constexpr (Config::scale_form != static_cast<int>(BroadcastForm::none)) {
    operate<typename Config::modulation_dtype, Width>(with.scales,
                                                      [](float value, int) { return 1.0f + value; });
    operate<typename Types::Scaled, Width>(
        n, [&](float value, int j) { return __fmul_rn(value, with.scales[j]); });
  }
  if constexpr (Config::shift_form != static_cast<int>(BroadcastForm::none)) {
    operate<typename Types::Last, Width>(n, [&](float value, int j) { return value + with.shifts[j]; });
  }
}

}  // namespace kerncast::norm
