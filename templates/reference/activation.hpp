#pragma once

/// Gated activations in double precision: act(gate) * up.
namespace kerncast::reference {

[[nodiscard]] double silu_and_mul(double gate, double up);
[[nodiscard]] double gelu_and_mul(double gate, double up);
[[nodiscard]] double gelu_tanh_and_mul(double gate, double up);
[[nodiscard]] double swiglu_oai(double gate, double up);

}  // namespace kerncast::reference
