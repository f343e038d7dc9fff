#include "kerncast/version.hpp"

#include <string>

#include "runtime/python/native/device.hpp"
#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/op_function.hpp"
#include "runtime/python/native/output_plan.hpp"
#include "runtime/python/native/own_op.hpp"
#include "runtime/python/native/prepared.hpp"
#include "runtime/python/native/tensor.hpp"
#include "runtime/python/native/torch/library.hpp"

/// The extension module kerncast._native.
namespace kerncast::python {
namespace {

/// A list of (family, name, function) of every op.
PyObject* functions(PyObject*, PyObject*) {
  return guarded([&] {
    Ref list = Ref::take(PyList_New(0));
    for (const auto& function : op_functions()) {
      const std::string& name = function->op().name;
      const std::size_t dot = name.find('.');
      const Ref made = function->python_function(Convention::typed);
      const Ref row =
          Ref::take(Py_BuildValue("(ssO)", name.substr(0, dot).c_str(), name.c_str() + dot + 1, made.get()));
      require(PyList_Append(list.get(), row.get()));
    }
    return list.release();
  });
}

/// The arguments of an op, for the stub files.
PyObject* arguments(PyObject*, PyObject* name) {
  return guarded([&] {
    return Ref::take(PyUnicode_FromString(op_function(text_of(name)).arguments().c_str())).release();
  });
}

/// The functions of an op for torch: the one that makes its outputs, and the one that takes them.
PyObject* torch_functions(PyObject*, PyObject* name) {
  return guarded([&] {
    OpFunction& function = op_function(text_of(name));
    const Ref functional = function.python_function(Convention::functional);
    const Ref out = function.python_function(Convention::out);
    return Ref::take(PyTuple_Pack(2, functional.get(), out.get())).release();
  });
}

/// A list of (name, direction, optional) of the tensors of an op.
PyObject* tensors(PyObject*, PyObject* name) {
  return guarded([&] {
    constexpr const char* directions[] = {"in", "out", "inout"};
    Ref list = Ref::take(PyList_New(0));
    for (const TensorSpec& tensor : op_function(text_of(name)).op().tensors) {
      const Ref row = Ref::take(Py_BuildValue("(ssO)", tensor.name.c_str(),
                                              directions[static_cast<std::size_t>(tensor.direction)],
                                              tensor.optional ? Py_True : Py_False));
      require(PyList_Append(list.get(), row.get()));
    }
    return list.release();
  });
}

/// The whole name of the op that the caller means. Raises NotFoundError, which names the nearest op.
PyObject* require_op(PyObject*, PyObject* name) {
  return guarded([&] {
    return Ref::take(PyUnicode_FromString(OpRegistry::instance().require(text_of(name)).name.c_str()))
        .release();
  });
}

PyObject* wait(PyObject*, PyObject* device) {
  return guarded([&] {
    const long ordinal = PyLong_AsLong(device);
    if (ordinal == -1 && PyErr_Occurred() != nullptr) {
      throw PythonError();
    }
    {
      const WithoutLock unlocked;
      synchronize(static_cast<int>(ordinal));
    }
    return Ref::share(Py_None).release();
  });
}

PyObject* fault(PyObject*, PyObject*) {
  return guarded([] { return Ref::take(PyUnicode_FromString(runtime().last_fault().c_str())).release(); });
}

PyObject* metrics(PyObject*, PyObject*) {
  return guarded([] { return Ref::take(PyUnicode_FromString(runtime().cache_metrics().c_str())).release(); });
}

PyMethodDef methods[] = {
    {"functions", &functions, METH_NOARGS, nullptr},
    {"arguments", &arguments, METH_O, nullptr},
    {"require", &require_op, METH_O, nullptr},
    {"torch_functions", &torch_functions, METH_O, nullptr},
    {"tensors", &tensors, METH_O, nullptr},
    {"register_op", &register_op, METH_O, nullptr},
    {"bind_torch", &bind_torch, METH_O, nullptr},
    {"implement_torch", &implement_torch, METH_VARARGS, nullptr},
    {"guard_torch", &guard_torch, METH_VARARGS, nullptr},
    {"plan_outputs", &plan_outputs, METH_VARARGS, nullptr},
    {"prepare", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&prepare)),
     METH_FASTCALL | METH_KEYWORDS,
     "prepare(op, *tensors, **arguments)\n\nLoads the kernel of a call, which takes the arguments of the "
     "op's "
     "function, and returns a kerncast.Prepared."},
    {"synchronize", &wait, METH_O, nullptr},
    {"last_fault", &fault, METH_NOARGS,
     "last_fault()\n--\n\nWhat the virtual GPU knows about the last fault of a kernel; empty without one."},
    {"cache_metrics", &metrics, METH_NOARGS,
     "cache_metrics()\n--\n\nThe counters of the cache in the text format of Prometheus."},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "kerncast._native", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace
}  // namespace kerncast::python

// NOLINTNEXTLINE(bugprone-reserved-identifier): CPython finds the module by this name.
PyMODINIT_FUNC PyInit__native() {
  using namespace kerncast;
  using namespace kerncast::python;
  return guarded([] {
    Ref module = Ref::take(PyModule_Create(&definition));
    add_tensor_type(module.get());
    add_prepared_type(module.get());
    const std::string_view text = version();
    require(PyModule_AddObjectRef(
        module.get(), "__version__",
        Ref::take(PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()))).get()));
    return module.release();
  });
}
