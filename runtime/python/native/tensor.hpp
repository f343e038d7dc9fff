#pragma once

#include <string_view>

#include "kerncast/tensor.hpp"
#include "runtime/python/native/dlpack_abi.hpp"
#include "runtime/python/native/python.hpp"

/// kerncast.Tensor: device memory that Python owns.
namespace kerncast::python {

/// Makes the type and adds it to `module`. Throws PythonError.
void add_tensor_type(PyObject* module);

[[nodiscard]] bool is_tensor(PyObject* object) noexcept;
/// The view of a kerncast.Tensor, whose memory lives as long as the object.
[[nodiscard]] const TensorView& view_of_tensor(PyObject* object) noexcept;

/// A new tensor of `view`'s dtype, shape, strides and device; its contents are undefined. Throws Error.
[[nodiscard]] Ref new_tensor(const TensorView& view);

/// The dtype that a Python object names: a str such as "bf16" or "bfloat16", or a dtype of numpy, ml_dtypes
/// or torch. Throws Error(invalid_argument).
[[nodiscard]] DType dtype_of(PyObject* object);
[[nodiscard]] DLDataType to_dlpack(DType type) noexcept;

}  // namespace kerncast::python
