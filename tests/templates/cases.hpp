#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

/// Tensors of cases, and the values in them.
namespace kerncast::test {

struct Shape {
  std::int64_t rows;
  std::int64_t width;

  [[nodiscard]] std::size_t count() const { return static_cast<std::size_t>(rows * width); }
};

inline TensorCase input_rows(std::string name, DType type, Shape shape, std::uint64_t seed,
                             double scale = 1.7) {
  return {.name = std::move(name),
          .dtype = type,
          .shape = {shape.rows, shape.width},
          .bytes = to_bytes(type, samples(shape.count(), seed, scale))};
}

inline TensorCase input_vector(std::string name, DType type, std::int64_t width, std::uint64_t seed,
                               double centre = 1.0) {
  return {.name = std::move(name),
          .dtype = type,
          .shape = {width},
          .bytes = to_bytes(type, samples(static_cast<std::size_t>(width), seed, 0.3, centre))};
}

inline TensorCase output_rows(std::string name, DType type, Shape shape, std::string alias = {}) {
  return {
      .name = std::move(name), .dtype = type, .shape = {shape.rows, shape.width}, .alias = std::move(alias)};
}

inline TensorCase& tensor_of(OpCase& test, const std::string& name) {
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name == name) {
      return tensor;
    }
  }
  throw Error(ErrorCode::internal, "no tensor " + name);
}

inline void drop_tensor(OpCase& test, const std::string& name) {
  std::erase_if(test.tensors, [&](const TensorCase& tensor) { return tensor.name == name; });
}

/// Gives the tensor, and any tensor that shares its memory, this stride from row to row.
inline void stride_rows(OpCase& test, const std::string& name, std::int64_t stride) {
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name == name || tensor.alias == name) {
      tensor.strides = {stride, 1};
    }
  }
}

inline double value_at(const Outcome& outcome, const char* name, std::size_t element) {
  const HostTensor& tensor = *outcome.input.tensor(name);
  return reference::decode(tensor.dtype,
                           tensor.bytes.data() + element * static_cast<std::size_t>(size_of(tensor.dtype)));
}

inline const std::vector<std::byte>& bytes_of(const Outcome& outcome, const char* name) {
  return outcome.input.tensor(name)->bytes;
}

}  // namespace kerncast::test
