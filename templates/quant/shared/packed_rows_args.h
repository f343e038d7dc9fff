#pragma once

namespace kerncast::quant {

/// Argument of the kernels that pack and unpack rows. Strides are in elements of their tensor.
struct PackedRowsKernelArgs {
  void* wide;             ///< [rows, width]
  unsigned char* packed;  ///< [rows, width + 4]
  long long rows;
  long long wide_stride;
  long long packed_stride;
};

}  // namespace kerncast::quant
