#pragma once

#include "runtime/python/native/python.hpp"

/// Ops that Python defines. They are registered through the C API, so that C++ and C find them by name too.
namespace kerncast::python {

/// `register_op(description)`: registers the op that kerncast.own_op.describe() gives, which then lives as
/// long as the process, and returns (family, name, function).
[[nodiscard]] PyObject* register_op(PyObject* module, PyObject* description);

}  // namespace kerncast::python
