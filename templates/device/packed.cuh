#pragma once

namespace kerncast {

/// The type that moves `Bytes` bytes at once.
template <int Bytes>
struct Packed;
template <>
struct Packed<16> {
  using type = uint4;
};
template <>
struct Packed<8> {
  using type = uint2;
};
template <>
struct Packed<4> {
  using type = unsigned;
};
template <>
struct Packed<2> {
  using type = unsigned short;
};
template <>
struct Packed<1> {
  using type = unsigned char;
};

}  // namespace kerncast
