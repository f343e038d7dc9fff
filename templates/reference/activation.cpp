#include "templates/reference/activation.hpp"

#include <cmath>
#include <numbers>

namespace kerncast::reference {
namespace {

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

}  // namespace

double silu_and_mul(double gate, double up) {
  return gate * sigmoid(gate) * up;
}

double gelu_and_mul(double gate, double up) {
  // 1 + erf(v) = erfc(-v), and erfc is accurate far below zero.
  return gate * 0.5 * std::erfc(-gate / std::numbers::sqrt2) * up;
}

double gelu_tanh_and_mul(double gate, double up) {
  // (1 + tanh(v)) / 2 = sigmoid(2 v), which is accurate far below zero too.
  const double v = std::sqrt(2.0 / std::numbers::pi) * (gate + 0.044715 * gate * gate * gate);
  return gate * sigmoid(2.0 * v) * up;
}

double swiglu_oai(double gate, double up, double limit, double alpha) {
  // Comparisons with NaN are false, so NaN passes unchanged.
  const double g = gate > limit ? limit : gate;
  const double u = up > limit ? limit : up < -limit ? -limit : up;
  return (u + 1.0) * g * sigmoid(alpha * g);
}

double limited_silu_and_mul(double gate, double up, double limit) {
  if (limit == 0.0) {
    return silu_and_mul(gate, up);
  }
  return silu_and_mul(gate > limit ? limit : gate, up > limit ? limit : up < -limit ? -limit : up);
}

}  // namespace kerncast::reference
