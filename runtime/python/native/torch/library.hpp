#pragma once

#include "runtime/python/native/python.hpp"

/// The operators of torch that are implemented here, without Python.
namespace kerncast::python {

/// `bind_torch(lookup)`: finds torch's functions, whose addresses `lookup(name)` returns as numbers, 0 for
/// one that torch lacks. Returns the name of a missing function, or an empty text: then operators can be
/// implemented. Once they can, later calls only look for the functions.
[[nodiscard]] PyObject* bind_torch(PyObject* module, PyObject* lookup);

/// `implement_torch(op, operator, schema, out)`: implements an operator for CUDA tensors. `schema` is a list
/// of (name, type), with the types of torch's schemas, and `out` tells that it takes its outputs. Returns
/// False, and does nothing, if torch's functions are not bound or all places are taken.
[[nodiscard]] PyObject* implement_torch(PyObject* module, PyObject* arguments);

/// `guard_torch(operation, function)`: a function that calls `operation`, which torch offers for an operator
/// of implement_torch, and raises the exceptions of `function`, the same op in Python. C++ exceptions lose
/// their type on their way through torch.
[[nodiscard]] PyObject* guard_torch(PyObject* module, PyObject* arguments);

}  // namespace kerncast::python
