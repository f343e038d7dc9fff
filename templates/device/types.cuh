#pragma once

/// Element types, as bits. Arithmetic is done in float; device/formats/convert.cuh has the conversions.
namespace kerncast {

struct bf16 {
  unsigned short bits;
};
struct f16 {
  unsigned short bits;
};
struct fp8_e4m3 {
  unsigned char bits;
};
struct fp8_e5m2 {
  unsigned char bits;
};
/// The power of two 2^(bits - 127).
struct ue8m0 {
  unsigned char bits;
};
using f32 = float;
using i8 = signed char;
using u8 = unsigned char;
using i32 = int;
using i64 = long long;

/// The largest magnitude of a quantised type.
template <class T>
inline constexpr float max_of = 0.0f;
template <>
inline constexpr float max_of<fp8_e4m3> = 448.0f;
template <>
inline constexpr float max_of<fp8_e5m2> = 57344.0f;
template <>
inline constexpr float max_of<i8> = 127.0f;

/// `type` is A if `First`, else B.
template <bool First, class A, class B>
struct Choose {
  using type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
  using type = B;
};

}  // namespace kerncast
