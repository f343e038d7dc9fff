#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"

/// Double-precision references, which verify an op's results on the host. They form a library of their own,
/// so that an embedding host need not link them.
namespace kerncast {

/// A tensor in host memory with the strides that it has on the device.
struct HostTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  ///< in elements
  std::vector<std::byte> bytes;       ///< the whole storage, including padding
};

/// The tensors and scalars of one call of an op.
struct ReferenceInput {
  Specialisation spec;
  std::vector<HostTensor> tensors;  ///< inputs before the call and outputs after it
  std::vector<std::pair<std::string, double>> scalars;

  /// The tensor called `name`, or null if the call has none.
  [[nodiscard]] const HostTensor* tensor(std::string_view name) const noexcept;
  /// The scalar called `name`, or `otherwise` if the call has none.
  [[nodiscard]] double scalar(std::string_view name, double otherwise) const noexcept;
};

/// The verdict of a reference on one call.
struct ReferenceResult {
  bool ok = false;
  double max_error = 0;  ///< largest deviation, in units in the last place of the output type
  std::string detail;    ///< of a failure: the output, the position, the value and the expected value
};

/// Checks the outputs of a call against its inputs. Throws Error(invalid_argument) if a tensor is missing or
/// its storage is too small.
using ReferenceFunction = ReferenceResult (*)(const ReferenceInput&);

/// The reference of the op called `name` ("norm.rms_norm"), or null if there is none.
[[nodiscard]] ReferenceFunction find_reference(std::string_view name);

}  // namespace kerncast
