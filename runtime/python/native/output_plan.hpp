#pragma once

#include "runtime/python/native/python.hpp"

namespace kerncast::python {

/// `plan_outputs(op, tensors, settings)`: the outputs of a call that is not made, so that shapes can be told
/// without a device. `tensors` is a list of (name, dtype, shape, strides) and `settings` a dict. Returns a
/// list of (name, dtype, shape, strides), where strides are None for a contiguous tensor.
[[nodiscard]] PyObject* plan_outputs(PyObject* module, PyObject* arguments);

}  // namespace kerncast::python
