#pragma once

#include "device/functions/exponential.cuh"
#include "device/gate_order.h"
#include "device/pair.cuh"
#include "device/vec.cuh"

/// Gated activations, y = act(gate) * up, as accurate as the stored type needs: f32 is computed in double,
/// values to be quantised are right to four units in the last place of f32, and 16-bit types use the fast
/// instructions.
namespace kerncast {

__device__ __forceinline__ float fast_exp2(float x) {
  float power;
  asm("ex2.approx.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

/// The weight of a gate, value * root * root. The factor `root` keeps a tiny weight within the range of
/// floats: times a large `up` it still counts.
struct Weight {
  float value;
  float root;
};

__device__ __forceinline__ Weight sigmoid(float x) {
  const float root = fast_exp2(fabsf(x) * -0.72134752f);  // exp(-|x| / 2)
  return {fast_reciprocal(fmaf(root, root, 1.0f)), x < 0.0f ? root : 1.0f};
}

__device__ __forceinline__ double sigmoid(double x) {
  const double e = close_exp(-fabs(x));
  const double above = close_reciprocal(1.0 + e);
  return x < 0.0 ? above * e : above;
}

/// The cumulative normal distribution, Phi(-a) = exp(-a^2 / 2) * t * P(t) with t = 1 / (1 + c * a). The
/// polynomial P is fitted for the least relative error up to a = 20: 1.6e-5 in float, 4e-10 in double.
__device__ __forceinline__ Weight normal_distribution(float x) {
  const float root = fast_exp2(x * x * -0.36067376f);  // exp(-x^2 / 4)
  const float t = fast_reciprocal(fmaf(fabsf(x), 0.45f, 1.0f));
  float p = fmaf(t, 0.063763876f, -0.22324251f);
  p = fmaf(p, t, 0.18350198f);
  p = fmaf(p, t, 0.11340034f);
  p = fmaf(p, t, 0.18321242f);
  p = fmaf(p, t, 0.17935592f) * t;
  return x < 0.0f ? Weight{p, root} : Weight{fmaf(-root * root, p, 1.0f), 1.0f};
}

__device__ __forceinline__ double normal_distribution(double x) {
  const double t = close_reciprocal(1.0 + 0.3 * (fabs(x) < 40.0 ? fabs(x) : 40.0));
  const double coefficients[] = {0.01305701165712659, -0.08160513019167213, 0.2049563937479773,
                                 -0.250843825086264,  0.14963512678374477,  -0.07410738168376983,
                                 0.04944545115159475, 0.05323828339386081,  0.08799461804972473,
                                 0.10886225253113405, 0.11968453155064543,  0.11968266823123587};
  double p = 0.0;
#pragma unroll
  for (int i = 0; i < 12; ++i) {
    p = p * t + coefficients[i];
  }
  const double below = close_exp(-0.5 * x * x) * t * p;
  return x < 0.0 ? below : 1.0 - below;
}

/// Numbers that a call gives to its activation.
struct GateScalars {
  float limit;
  float alpha;
};

struct SiluAndMul {
  static constexpr GateOrder order = GateOrder::halves;
  /// True if the weight of the gate is multiplied by the gate itself.
  static constexpr bool multiplies_gate = true;
  template <class Real>
  __device__ static void limit(Real&, Real&, const GateScalars&) {}
  template <class Real>
  __device__ static auto weight(Real gate, const GateScalars&) {
    return sigmoid(gate);
  }
};

/// Limits the gate from above and the up on both sides. The comparisons let NaN through.
template <class Real>
__device__ __forceinline__ void limit_gate_and_up(Real& gate, Real& up, Real limit) {
  gate = gate > limit ? limit : gate;
  up = up > limit ? limit : up < -limit ? -limit : up;
}

struct LimitedSiluAndMul : SiluAndMul {
  template <class Real>
  __device__ static void limit(Real& gate, Real& up, const GateScalars& scalars) {
    limit_gate_and_up(gate, up, Real(scalars.limit));
  }
};

struct GeluAndMul : SiluAndMul {
  template <class Real>
  __device__ static auto weight(Real gate, const GateScalars&) {
    return normal_distribution(gate);
  }
};

/// Uses (1 + tanh(v)) / 2 = sigmoid(2 * v).
struct GeluTanhAndMul : SiluAndMul {
  template <class Real>
  __device__ static auto weight(Real gate, const GateScalars&) {
    return sigmoid(gate * (Real(1.5957691216057308) + Real(0.07135481627260025) * gate * gate));
  }
};

/// sigmoid(gate) * up, without the gate as a factor.
struct SigmoidAndMul : SiluAndMul {
  static constexpr bool multiplies_gate = false;
};

struct SwigluOai : SiluAndMul {
  static constexpr GateOrder order = GateOrder::interleaved;
  template <class Real>
  __device__ static void limit(Real& gate, Real& up, const GateScalars& scalars) {
    limit_gate_and_up(gate, up, Real(scalars.limit));
    up += Real(1);
  }
  template <class Real>
  __device__ static auto weight(Real gate, const GateScalars& scalars) {
    return sigmoid(Real(scalars.alpha) * gate);
  }
};

/// silu(gate) * up within four units in the last place, and six for gates below -64, for every finite result.
/// gate and up are values of X. It is one block of PTX, which shortens the compile.
template <class X>
__device__ __forceinline__ float close_silu(float gate, float up) {
  // silu(gate) = gate * p^2 * r, where p = exp(x / 2), r = 1 / (p^2 + 1) and x is the gate. A gate of 17 and
  // more has the sigmoid 1 to the last place, so x is limited there and p stays small. p^2 could vanish, but
  // the product ((gate * (p * r)) * up) * p does so only with the result, and none of its parts is larger
  // than that. The exponent h = x / 2 * log2(e) is rounded: c = x - h * 2 * ln(2) is missing from p^2, and p
  // * r is moved by c * r. -infinity becomes NaN.
  float product;
  if constexpr (sizeof(X) == 2) {
    asm("{ .reg .f32 x, h, p, c, r, q;\n"
        "  min.f32 x, %1, 0f41880000;\n  mul.f32 h, x, 0f3F38AA3B;\n  ex2.approx.f32 p, h;\n"
        "  fma.rn.f32 c, h, 0fBFB17218, x;\n  fma.rn.f32 r, p, p, 0f3F800000;\n  rcp.approx.f32 r, r;\n"
        "  mul.f32 q, p, r;\n  mul.f32 c, c, r;\n  fma.rn.f32 q, q, c, q;\n"
        "  mul.f32 q, %1, q;\n  mul.f32 q, q, %2;\n  mul.f32 %0, q, p; }"
        : "=f"(product)
        : "f"(gate), "f"(up));
  } else {
    // A subnormal float times p * r, which is 1/2 there, would lose bits that a large `up` shows. Here x, c
    // and the last p are halves and r is twice as much.
    asm("{ .reg .f32 x, h, p, s, c, r, q;\n"
        "  mul.f32 x, %1, 0f3F000000;\n  min.f32 x, x, 0f41080000;\n  mul.f32 h, x, 0f3FB8AA3B;\n"
        "  ex2.approx.f32 p, h;\n  fma.rn.f32 c, h, 0fBF317218, x;\n  fma.rn.f32 c, h, 0f3102E308, c;\n"
        "  mul.f32 s, p, 0f3F000000;\n  fma.rn.f32 r, s, p, 0f3F000000;\n  rcp.approx.f32 r, r;\n"
        "  mul.f32 q, p, r;\n  mul.f32 c, c, r;\n  fma.rn.f32 q, q, c, q;\n"
        "  mul.f32 q, %1, q;\n  mul.f32 q, q, %2;\n  mul.f32 %0, q, s; }"
        : "=f"(product)
        : "f"(gate), "f"(up));
  }
  return product;
}

/// act(gate) * up of values of X, as accurate as Y needs.
template <class Activation, class X, class Y>
__device__ __forceinline__ float gated(float gate, float up, const GateScalars& scalars = {}) {
  if constexpr (sizeof(Y) == 4) {
    double wide_gate = gate;
    double wide_up = up;
    Activation::limit(wide_gate, wide_up, scalars);
    const double weight = Activation::weight(wide_gate, scalars);
    return static_cast<float>(Activation::multiplies_gate ? wide_gate * weight * wide_up : weight * wide_up);
  } else if constexpr (sizeof(Y) == 2) {
    Activation::limit(gate, up, scalars);
    const Weight weight = Activation::weight(gate, scalars);
    // The weight is at most 1. Times up first, no product overflows or vanishes before the result does.
    const float product = weight.value * weight.root * (up * weight.root);
    return Activation::multiplies_gate ? gate * product : product;
  } else {
    static_assert(Activation::multiplies_gate, "no activation to be quantised leaves the gate out");
    Activation::limit(gate, up, scalars);
    return close_silu<X>(gate, up);
  }
}

/// The gates and ups of `Count` values of a row of x, in vectors of `Width`; a row has `Hidden` gates and as
/// many ups.
template <class Activation, class X, int Hidden, int Count, int Width>
struct GatedParts {
  using Part = typename VectorType<Width* static_cast<int>(sizeof(X))>::type;
  static constexpr int parts = 2 * Count / Width;
  static constexpr bool interleaved = Activation::order == GateOrder::interleaved;

  Part held[parts];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < parts; ++i) {
      held[i] = Part{};
    }
  }

  /// Loads the gates and ups of the values from `column` on.
  __device__ __forceinline__ void load(const X* row, int column) {
#pragma unroll
    for (int i = 0; i < parts; ++i) {
      const int at = interleaved     ? 2 * column + i * Width
                     : i < parts / 2 ? column + i * Width
                                     : Hidden + column + (i - parts / 2) * Width;
      held[i] = *reinterpret_cast<const Part*>(row + at);
    }
  }

  /// Computes the values, as accurate as Y needs.
  template <class Y>
  __device__ __forceinline__ void activate(float* out, const GateScalars& scalars = {}) const {
    float both[2 * Count];
#pragma unroll
    for (int i = 0; i < parts; ++i) {
      unpack<X>(held[i], both + i * Width);
    }
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      out[i] = interleaved ? gated<Activation, X, Y>(both[2 * i], both[2 * i + 1], scalars)
                           : gated<Activation, X, Y>(both[i], both[Count + i], scalars);
    }
  }
};

}  // namespace kerncast
