#pragma once

namespace kerncast::norm {

/// The operands for a part of a row. Those that Config leaves out are not set.
template <int Width>
struct Modulators {
  float weights[Width];
  float biases[Width];
  float scales[Width];
  float shifts[Width];
};

}  // namespace kerncast::norm
