#pragma once

#include "device/row.cuh"
#include "norm/shared/added_rms/added_rms_args.h"
#include "norm/shared/residual_row.cuh"
#include "norm/shared/rms.cuh"

namespace kerncast::norm {

/// Adds row `row` of the residual stream to `x`, stores the sum over it, and normalises the sum to y. If the
/// row is not `present`, it only takes part in the reduction.
template <class Config>
__device__ __forceinline__ void add_and_normalise(const AddedRmsArgs& args, long long row,
                                                  const typename Config::x_dtype* x, bool present) {
  using X = typename Config::x_dtype;
  using R = typename Config::residual_dtype;
  using Y = typename Config::y_dtype;
  constexpr bool precise = sizeof(Y) == 4;
  constexpr int width = Config::alignment / static_cast<int>(sizeof(X));
  constexpr bool has_rests = precise && !Config::round_residual;
  using Row = ResidualRow<X, R, width, has_rests, span_of<X, R, Y>, width, NoGate, Config::round_residual>;

  R* residual = static_cast<R*>(args.residual) + row * args.residual_stride;
  const Row sums{x, residual, residual};
  Y* y = static_cast<Y*>(args.y) + row * args.y_stride;
  const auto* weight = static_cast<const typename Config::weight_dtype*>(args.weight);

  const RowWalk<Config, Row> walk(sums, present);
  const Pair scale = product(scale_of_row<Config::hidden, precise>(walk, args.eps));
  walk.template each<1>([&](auto part, int column, bool has_part) {
    if (has_part) {
      sums.store(column, part);
      normalise_values<Config, width, precise, has_rests>(part.values, part.rests, weight + column, scale,
                                                          args.weight_offset);
      store_values<Y, width>(y + column, part.values);
    }
  });
}

}  // namespace kerncast::norm
