#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"

/// Double-precision references that verify results on the host. They are a library of their own: an embedding
/// host does not carry them.
namespace kerncast {

/// A tensor in host memory, with the strides it has on the device.
struct HostTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< in elements
  std::vector<std::byte> bytes;       ///< the whole storage, padding included
};

/// What one op read and wrote.
struct ReferenceInput {
  Specialisation spec;
  std::vector<HostTensor> tensors;  ///< inputs as they were before the call, and outputs as they are after it
  std::vector<std::pair<std::string, double>> scalars;

  /// Null when absent.
  [[nodiscard]] const HostTensor* tensor(std::string_view name) const noexcept;
  [[nodiscard]] double scalar(std::string_view name, double otherwise) const noexcept;
};

/// Verdict of a reference.
struct ReferenceResult {
  bool ok = false;
  double max_error = 0;  ///< worst deviation, in units in the last place (or steps) of the output type
  std::string detail;    ///< for a failure: which output, where, got and expected
};

using ReferenceFunction = ReferenceResult (*)(const ReferenceInput&);

/// The reference of the op called `name`, or null.
[[nodiscard]] ReferenceFunction find_reference(std::string_view name);

}  // namespace kerncast
