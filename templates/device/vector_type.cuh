#pragma once

namespace kerncast {

/// `type` is an unsigned type (or vector type) of `Bytes` bytes, which one access moves.
template <int Bytes>
struct VectorType;
template <>
struct VectorType<16> {
  using type = uint4;
};
template <>
struct VectorType<8> {
  using type = uint2;
};
template <>
struct VectorType<4> {
  using type = unsigned;
};
template <>
struct VectorType<2> {
  using type = unsigned short;
};
template <>
struct VectorType<1> {
  using type = unsigned char;
};

}  // namespace kerncast
