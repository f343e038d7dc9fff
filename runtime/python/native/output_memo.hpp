#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "kerncast/tensor.hpp"
#include "runtime/python/native/python.hpp"

namespace kerncast::python {

/// An output that a call needs.
struct PlannedOutput {
  std::size_t place = 0;  ///< in OpDefinition::tensors
  TensorView view;        ///< without memory and device
};

/// True if tensors differ in their memory and device alone.
[[nodiscard]] bool same_layout(const TensorView& a, const TensorView& b) noexcept;

/// The plans of an op's last calls. A plan depends on shapes, strides, dtypes and settings alone, and an
/// engine makes the same few calls over and over. Python's lock guards it.
class OutputMemo {
 public:
  /// The plan of an earlier call with such inputs and the same objects as settings, or null. It lives until
  /// the next keep().
  [[nodiscard]] const std::vector<PlannedOutput>* find(const std::vector<TensorView>& inputs,
                                                       PyObject* const* settings,
                                                       std::size_t setting_count) const;
  /// Keeps a plan in the place of the oldest one.
  const std::vector<PlannedOutput>& keep(const std::vector<TensorView>& inputs, PyObject* const* settings,
                                         std::size_t setting_count, std::vector<PlannedOutput> outputs);

 private:
  struct Entry {
    std::vector<TensorView> inputs;
    std::vector<Ref> settings;  ///< held, so that no other object gets the address of one
    std::vector<PlannedOutput> outputs;
  };
  std::array<Entry, 8> entries_;
  std::size_t oldest_ = 0;
};

}  // namespace kerncast::python
