#pragma once

/// Layouts and formats of the scales that quantisation stores. Kernels and hosts both read this header, so it
/// uses no standard library.
namespace kerncast::quant {

/// Layout of the scales of row groups. Scale s[t, g] belongs to group g of row t; there are T rows.
enum class ScaleLayout : unsigned char {
  row_major,                 ///< the scales of a row are contiguous
  column_major,              ///< stride 1 from row to row
  column_major_tma_aligned,  ///< stride 1 from row to row, T rounded up to 4 from group to group; the pointer
                             ///< is a multiple of 16 bytes
};

/// Storage format of the scales of row groups.
enum class ScaleFormat : unsigned char {
  f32,
  ue8m0,         ///< f32, rounded up to a power of two
  packed_ue8m0,  ///< exponent bytes of powers of two, four to an int32: group g is byte g % 4 of word g / 4
};

/// Layout of the scales of blocks, one byte each. A row has K blocks; there are T rows.
enum class SfLayout : unsigned char {
  linear,  ///< [..., K]: the scales of a row are contiguous; rows may be strided
  /// The layout of block-scaled MMA: contiguous [Tp, Kp], where Tp is T rounded up to 128 and Kp is K rounded
  /// up to 4. The scale of block k of row m is byte
  /// ((m / 128) * (Kp / 4) + k / 4) * 512 + (m % 32) * 16 + ((m / 32) % 4) * 4 + k % 4. Padding is 0.
  swizzled,
};

#ifndef __CUDACC_RTC__
/// Names of the values as settings spell them, in the order of the enums. NVRTC would put the arrays into
/// every kernel's module.
inline constexpr const char* scale_layout_names[] = {"row_major", "column_major", "column_major_tma_aligned"};
inline constexpr const char* scale_format_names[] = {"f32", "ue8m0", "packed_ue8m0"};
inline constexpr const char* sf_layout_names[] = {"linear", "swizzled"};
#endif

}  // namespace kerncast::quant
