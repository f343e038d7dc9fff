#pragma once

#include "device/broadcast.cuh"
#include "device/row.cuh"
#include "norm/scale_shift/kernel_args.h"
#include "norm/shared/mean_variance.cuh"
#include "norm/shared/modulation/modulate_by_aten.cuh"
#include "norm/shared/modulation/modulators.cuh"

/// Rows that are normalised, then scaled and shifted.
namespace kerncast::norm {

/// True if neighbouring lanes always load neighbouring spans of a row.
template <class Config, int Width>
inline constexpr bool rows_in_step = row_lanes<Config> % 2 == 0 && Config::hidden / Width % 2 == 0;

/// (n * weight + bias) * (1 + scale) + shift, element j, in the arithmetic of `Real`.
template <class Config, int Width, class Real>
__device__ __forceinline__ float modulated(Real n, const Modulators<Width>& with, int j) {
  if constexpr (Config::has_weight) {
    n *= with.weights[j];
  }
  if constexpr (Config::has_bias) {
    n += with.biases[j];
  }
  if constexpr (Config::scale_form != static_cast<int>(BroadcastForm::none)) {
    n *= Real(1) + with.scales[j];
  }
  if constexpr (Config::shift_form != static_cast<int>(BroadcastForm::none)) {
    n += with.shifts[j];
  }
  return static_cast<float>(n);
}

/// Normalises the row that `walk` walks, of elements `Row`, modulates it and stores it in y.
/// done(part, column) is called before the elements of a part are stored.
template <class Config, class Row, int Width, class Walk, class Done>
__device__ __forceinline__ void modulate_row(const Walk& walk, const Modulation& with, long long row,
                                             typename Config::y_dtype* y, const Done& done) {
  using W = typename Config::weight_dtype;
  using M = typename Config::modulation_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  constexpr bool paired = rows_in_step<Config, Width>;
  constexpr bool by_aten = static_cast<AtenRounding>(Config::aten_rounding) != AtenRounding::none;

  Centre<precise> centre = {};
  if constexpr (Config::norm == 0) {
    centre = centre_of<Config, precise>(walk, with.eps);
  } else {
    const WideRoot wide = scale_of_row<Config::hidden, precise>(walk, with.eps);
    if constexpr (precise) {
      centre.scale = wide.root;
      centre.before = wide.before;
    } else {
      centre.scale = wide.root.value;
    }
  }
  const BroadcastRow<M, Config::scale_form> scale(with.scale, row);
  const BroadcastRow<M, Config::shift_form> shift(with.shift, row);
  const W* weight = static_cast<const W*>(with.weight);
  const W* bias = static_cast<const W*>(with.bias);
  walk.template each<1>([&](auto part, int column, bool present) {
    if (present) {
      float* values = part.values;
      Modulators<Width> modulators;
      done(part, column);
      if constexpr (Config::has_weight) {
        load_span<W, Width, paired>(weight + column, modulators.weights);
      }
      if constexpr (Config::has_bias) {
        load_span<W, Width, paired>(bias + column, modulators.biases);
      }
      scale.template load<Width, paired>(column, modulators.scales);
      shift.template load<Width, paired>(column, modulators.shifts);
#pragma unroll
      for (int j = 0; j < Width; ++j) {
        if constexpr (precise) {
          const double mean = static_cast<double>(centre.mean.value) + centre.mean.rest;
          const double factor = (static_cast<double>(centre.scale.value) + centre.scale.rest) * centre.before;
          values[j] = modulated<Config>((values[j] - mean) * factor, modulators, j);
        } else {
          const float n = Config::norm == 0 ? normalised(values[j], centre) : values[j] * centre.scale;
          values[j] = by_aten ? n : modulated<Config>(n, modulators, j);
        }
      }
      if constexpr (by_aten) {
        modulate_by_aten<Config, Row, Width>(values, modulators);
      }
      store_values<Y, Width>(y + column, values);
    }
  });
}

}  // namespace kerncast::norm
