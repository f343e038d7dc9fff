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

/// "BF16", "F8_E4M3", ...: how safetensors spells `type`.
[[nodiscard]] std::string_view safetensors_name(DType type);

/// Elements of a tensor of `shape`; -1 where a dimension is negative or the product passes 2^62.
[[nodiscard]] std::int64_t element_count(const std::vector<std::int64_t>& shape);

/// Every tensor of the file, in order of their data. Throws Error(not_found) or Error(io_error) that says
/// what is wrong with which tensor: truncation, header size, JSON, unknown dtype, offsets that overlap, leave
/// gaps or do not match the shape, names that occur twice.
[[nodiscard]] std::vector<StoredTensor> read_safetensors(const std::string& path);

/// As read_safetensors, of bytes in memory; `origin` names them in errors.
[[nodiscard]] std::vector<StoredTensor> parse_safetensors(std::string_view bytes, const std::string& origin);

/// Publishes a file of `tensors` at `path`, whole or not at all. Throws Error(io_error), and
/// Error(invalid_argument) where two have one name or the bytes do not match the shape.
void write_safetensors(const std::string& path, const std::vector<StoredTensor>& tensors);

}  // namespace kerncast::tools
