#pragma once

namespace kerncast::quant {

/// The argument of the kernels that pack and unpack. Strides are in elements.
struct Fp8PackedKernelArgs {
  void* wide;             ///< [rows, width]
  unsigned char* packed;  ///< [rows, width + 4]
  long long rows;
  long long wide_stride;
  long long packed_stride;
};

}  // namespace kerncast::quant
