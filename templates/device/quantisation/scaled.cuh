#pragma once

#include "device/over_lanes.cuh"
#include "device/pair.cuh"
#include "device/topk.cuh"

/// Positive numbers as a pair of floats times a power of two, for results that must be right to the last
/// place of f32 on devices with few units for f64.
namespace kerncast {

/// x * 2^n, rounded once. x lies between 2^-60 and 2^60, or is 0 or NaN. Like the other functions of this
/// file it is one block of PTX, which shortens the compile.
__device__ __forceinline__ float times_power_of_two(float x, int n) {
  // Two factors, since one float cannot hold all of 2^-250 to 2^250.
  float made;
  asm("{ .reg .b32 n, h;\n  .reg .f32 f;\n  min.s32 n, %2, 250;\n  max.s32 n, n, -250;\n  shr.s32 h, n, 1;\n"
      "  sub.s32 n, n, h;\n  shl.b32 h, h, 23;\n  add.s32 h, h, 0x3F800000;\n  shl.b32 n, n, 23;\n"
      "  add.s32 n, n, 0x3F800000;\n  mov.b32 f, h;\n  mul.f32 %0, %1, f;\n  mov.b32 f, n;\n  mul.f32 %0, "
      "%0, f; }"
      : "=&f"(made)
      : "f"(x), "r"(n));
  return made;
}

/// The number (value + rest) * 2^exponent. The rest is less than 2^-21 of the value.
struct Scaled {
  float value;
  float rest;
  int exponent;

  __device__ __forceinline__ float rounded() const { return times_power_of_two(value + rest, exponent); }
};

/// a * b.
__device__ __forceinline__ Scaled product(const Scaled& a, const Scaled& b) {
  Scaled made;
  asm("{ .reg .f32 n, e;\n  mul.f32 %0, %3, %6;\n  neg.f32 n, %0;\n  fma.rn.f32 e, %3, %6, n;\n"
      "  fma.rn.f32 e, %3, %7, e;\n  fma.rn.f32 %1, %4, %6, e;\n  add.s32 %2, %5, %8; }"
      : "=&f"(made.value), "=&f"(made.rest), "=&r"(made.exponent)
      : "f"(a.value), "f"(a.rest), "r"(a.exponent), "f"(b.value), "f"(b.rest), "r"(b.exponent));
  return made;
}

/// a / b without the exponents, as a pair.
__device__ __forceinline__ Pair quotient(const Pair& a, const Pair& b) {
  Pair made;
  asm("{ .reg .f32 r, g, e;\n  rcp.approx.f32 r, %4;\n  mul.f32 %0, %2, r;\n  neg.f32 g, %0;\n"
      "  fma.rn.f32 e, g, %4, %2;\n  fma.rn.f32 g, g, %5, %3;\n  add.f32 e, e, g;\n  mul.f32 %1, e, r; }"
      : "=&f"(made.value), "=f"(made.rest)
      : "f"(a.value), "f"(a.rest), "f"(b.value), "f"(b.rest));
  return made;
}

/// exp(x.value + x.rest) to 27 bits, its value from 0.7 to 1.42. x.value lies between -720 and 720, and
/// x.rest is less than 1e-4.
__device__ __forceinline__ Scaled scaled_exp(const Pair& x) {
  // exp(x) = 2^n * exp(r), |r| <= ln(2) / 2. Adding 1.5 * 2^23 leaves n, rounded, in the low bits. ln(2) is a
  // float of 16 bits, whose multiples are exact, and its rest, so that r has a rest too. The polynomial is
  // (exp(r) - 1 - r) / r^2, fitted for the least error of exp(r), 5e-9.
  Scaled made;
  asm("{ .reg .f32 t, n, r, l, p, h, e;\n"
      "  fma.rn.f32 t, %3, 0f3FB8AA3B, 0f4B400000;\n  add.f32 n, t, 0fCB400000;\n"
      "  fma.rn.f32 e, n, 0fBF317200, %3;\n  fma.rn.f32 l, n, 0fB5BFBE8E, %4;\n"
      "  add.f32 r, e, l;\n  sub.f32 e, r, e;\n  sub.f32 l, l, e;\n"
      "  fma.rn.f32 p, r, 0f3AB511E2, 0f3C091D12;\n  fma.rn.f32 p, p, r, 0f3D2AAC7A;\n"
      "  fma.rn.f32 p, p, r, 0f3E2AAA48;\n  fma.rn.f32 p, p, r, 0f3EFFFFFE;\n"
      "  mul.f32 p, p, r;\n  fma.rn.f32 l, l, r, l;\n  fma.rn.f32 p, p, r, l;\n"
      "  add.f32 h, r, 0f3F800000;\n  add.f32 e, h, 0fBF800000;\n  sub.f32 e, r, e;\n"
      "  add.f32 p, p, e;\n  add.f32 %0, h, p;\n  sub.f32 h, h, %0;\n  add.f32 %1, h, p;\n"
      "  mov.b32 %2, t;\n  add.s32 %2, %2, 0xB4C00000; }"
      : "=f"(made.value), "=f"(made.rest), "=r"(made.exponent)
      : "f"(x.value), "f"(x.rest));
  return made;
}

/// A sum of up to 1024 terms of at most 1.5 in units of 2^-41, of which the upper 20 bits behind the point
/// are added up apart from the others. Sums of integers do not depend on their order. Each term has the bits
/// of a float too much in both parts.
struct UnitSum {
  unsigned coarse = 0;
  unsigned fine = 0;

  /// Adds (x.value + x.rest) * 2^exponent, which counts as 0 below 2^-60.
  __device__ __forceinline__ void add(const Scaled& x, int exponent) {
    asm("{ .reg .b32 n;\n  .reg .f32 u, t, r;\n  max.s32 n, %4, -60;\n  shl.b32 n, n, 23;\n"
        "  add.s32 n, n, 0x49800000;\n  mov.b32 u, n;\n  fma.rn.f32 t, %2, u, 0f4B400000;\n"
        "  sub.f32 r, 0f4B400000, t;\n  fma.rn.f32 r, %2, u, r;\n  fma.rn.f32 r, %3, u, r;\n"
        "  fma.rn.f32 r, r, 0f4A000000, 0f4B400000;\n  mov.b32 n, t;\n  add.u32 %0, %0, n;\n  mov.b32 n, r;\n"
        "  add.u32 %1, %1, n; }"
        : "+r"(coarse), "+r"(fine)
        : "f"(x.value), "f"(x.rest), "r"(exponent));
  }
  __device__ __forceinline__ void merge(const UnitSum& other) {
    coarse += other.coarse;
    fine += other.fine;
  }
  __device__ __forceinline__ UnitSum from_lane(int mask) const {
    return {__shfl_xor_sync(0xffffffffu, coarse, mask), __shfl_xor_sync(0xffffffffu, fine, mask)};
  }
  template <int Lanes>
  __device__ __forceinline__ void over_lanes() {
    merge_lanes<Lanes>(*this);
  }
  /// The sum over the lanes of the warp.
  __device__ __forceinline__ UnitSum over_warp() const { return {warp_sum(coarse), warp_sum(fine)}; }

  /// The sum of `count` terms in units of 2^-20.
  __device__ __forceinline__ Pair units(int count) const {
    Pair made;
    asm("{ .reg .b32 excess, c, f, t;\n  .reg .f32 r, l;\n  mul.lo.u32 excess, %4, 0x4B400000;\n"
        "  sub.u32 c, %2, excess;\n  sub.u32 f, %3, excess;\n  cvt.rn.f32.s32 %0, c;\n  cvt.rzi.s32.f32 t, "
        "%0;\n"
        "  sub.s32 t, c, t;\n  cvt.rn.f32.s32 l, t;\n  cvt.rn.f32.s32 r, f;\n"
        "  fma.rn.f32 %1, r, 0f35000000, l; }"
        : "=&f"(made.value), "=f"(made.rest)
        : "r"(coarse), "r"(fine), "r"(count));
    return made;
  }
};

}  // namespace kerncast
