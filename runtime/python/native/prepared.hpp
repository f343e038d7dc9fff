#pragma once

#include "runtime/python/native/python.hpp"

namespace kerncast::python {

/// Makes the type kerncast.Prepared and adds it to `module`. Throws PythonError.
void add_prepared_type(PyObject* module);

/// A kerncast.Prepared of the op named by the first argument, with the other arguments bound.
PyObject* prepare(PyObject* module, PyObject* const* arguments, Py_ssize_t count, PyObject* names);

}  // namespace kerncast::python
