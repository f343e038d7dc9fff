#pragma once

/// Gated activations in double precision: act(gate) * up.
namespace kerncast::reference {

[[nodiscard]] double silu_and_mul(double gate, double up);
[[nodiscard]] double gelu_and_mul(double gate, double up);
[[nodiscard]] double gelu_tanh_and_mul(double gate, double up);
[[nodiscard]] double swiglu_oai(double gate, double up, double limit, double alpha);
/// silu_and_mul of a gate that is limited from above and an up that is limited on both sides; 0: no limit.
[[nodiscard]] double limited_silu_and_mul(double gate, double up, double limit);

}  // namespace kerncast::reference
