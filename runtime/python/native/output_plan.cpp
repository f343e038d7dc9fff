#include "runtime/python/native/output_plan.hpp"

#include <array>
#include <string>
#include <vector>

#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/op_function.hpp"
#include "runtime/python/native/tensor.hpp"

namespace kerncast::python {
namespace {

/// The address of tensors without memory: plans ask only whether a tensor is there.
void* const nowhere = reinterpret_cast<void*>(std::uintptr_t{1} << 20);

/// Copies a tuple of `rank` numbers.
void read_numbers(PyObject* numbers, int rank, std::array<std::int64_t, TensorView::max_rank>& to) {
  for (int i = 0; i < rank; ++i) {
    const long long number = PyLong_AsLongLong(PyTuple_GetItem(numbers, i));
    if (number == -1 && PyErr_Occurred() != nullptr) {
      throw PythonError();
    }
    to[static_cast<std::size_t>(i)] = number;
  }
}

void read_tensor(const OpDefinition& op, PyObject* row, Bindings& bindings) {
  const char* name = nullptr;
  PyObject* dtype = nullptr;
  PyObject* shape = nullptr;
  PyObject* strides = nullptr;
  if (PyArg_ParseTuple(row, "sOOO", &name, &dtype, &shape, &strides) == 0) {
    throw PythonError();
  }
  const Py_ssize_t rank = PyTuple_Size(shape);
  if (rank < 0 || PyTuple_Size(strides) != rank) {
    throw PythonError();
  }
  if (rank > TensorView::max_rank) {
    refuse(op.name + ": tensor '" + name + "' has " + std::to_string(rank) + " dimensions; at most " +
           std::to_string(TensorView::max_rank) + " are taken");
  }
  TensorView view;
  view.data = nowhere;
  view.dtype = dtype_of(dtype);
  view.rank = static_cast<int>(rank);
  read_numbers(shape, view.rank, view.shape);
  read_numbers(strides, view.rank, view.strides);
  bindings.set_tensor(name, view);
}

/// A tuple of numbers.
Ref numbers_of(const std::vector<std::int64_t>& numbers) {
  Ref tuple = Ref::take(PyTuple_New(static_cast<Py_ssize_t>(numbers.size())));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    require(PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i),
                            Ref::take(PyLong_FromLongLong(numbers[i])).release()));
  }
  return tuple;
}

Ref row_of(const TensorPlan& plan) {
  const Ref shape = numbers_of(plan.shape);
  const Ref strides = plan.strides.empty() ? Ref::share(Py_None) : numbers_of(plan.strides);
  const std::string_view dtype = name_of(plan.dtype);
  return Ref::take(Py_BuildValue("(ss#OO)", plan.name.c_str(), dtype.data(),
                                 static_cast<Py_ssize_t>(dtype.size()), shape.get(), strides.get()));
}

}  // namespace

PyObject* plan_outputs(PyObject*, PyObject* arguments) {
  return guarded([&] {
    const char* name = nullptr;
    PyObject* tensors = nullptr;
    PyObject* settings = nullptr;
    if (PyArg_ParseTuple(arguments, "sO!O!", &name, &PyList_Type, &tensors, &PyDict_Type, &settings) == 0) {
      throw PythonError();
    }
    const OpFunction& function = op_function(name);
    const OpDefinition& op = function.op();
    Bindings bindings;
    for (Py_ssize_t i = 0; i < PyList_Size(tensors); ++i) {
      read_tensor(op, PyList_GetItem(tensors, i), bindings);
    }
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(settings, &at, &key, &value) != 0;) {
      const std::string setting(text_of(key));
      const int index = find_param(op, setting);
      if (index < 0) {
        refuse(op.name + " has no setting '" + setting + "'");
      }
      bindings.set_param(setting, function.param_text(op.params[static_cast<std::size_t>(index)], value));
    }
    Ref list = Ref::take(PyList_New(0));
    for (const TensorPlan& plan : function.plan(bindings)) {
      require(PyList_Append(list.get(), row_of(plan).get()));
    }
    return list.release();
  });
}

}  // namespace kerncast::python
