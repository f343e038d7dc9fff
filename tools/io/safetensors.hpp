#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kerncast/dtype.hpp"

/// The safetensors file format: 8 bytes of header size (little endian), a JSON header that maps each name to
/// {"dtype", "shape", "data_offsets": [begin, end]}, then the tensors' bytes, row-major, without gaps.
namespace kerncast::tools {

struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};

/// A tensor that was passed over, since nothing here can hold it.
struct SkippedTensor {
  std::string name;
  std::string why;  ///< "it has the unknown dtype I16; known are ..."
};

/// The name of `type` in the format: "BF16", "F8_E4M3", ...
[[nodiscard]] std::string_view safetensors_name(DType type);

/// Number of elements of a tensor of `shape`; -1 if a dimension is negative or the product exceeds 2^62.
[[nodiscard]] std::int64_t element_count(const std::vector<std::int64_t>& shape);

/// Reads every tensor of a file, in order of their data. Throws Error(not_found), or Error(io_error) that
/// names the tensor and what is wrong: truncation, header size, JSON, unknown dtype, offsets that overlap,
/// leave gaps or do not match the shape, names that occur twice. If `skipped` is given, tensors of an unknown
/// dtype or of too many dimensions are added to it instead.
[[nodiscard]] std::vector<StoredTensor> read_safetensors(const std::string& path,
                                                         std::vector<SkippedTensor>* skipped = nullptr);

/// Reads the tensors of a file's bytes in memory. `origin` names them in errors. Throws like
/// read_safetensors.
[[nodiscard]] std::vector<StoredTensor> parse_safetensors(std::string_view bytes, const std::string& origin,
                                                          std::vector<SkippedTensor>* skipped = nullptr);

/// Writes a file of `tensors` at `path`, completely or not at all. Throws Error(io_error), and
/// Error(invalid_argument) if two tensors have the same name or the bytes of one do not match its shape.
void write_safetensors(const std::string& path, const std::vector<StoredTensor>& tensors);

}  // namespace kerncast::tools
