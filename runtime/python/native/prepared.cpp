#include "runtime/python/native/prepared.hpp"

#include <new>

#include "runtime/python/native/device.hpp"
#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/exchange.hpp"
#include "runtime/python/native/op_function.hpp"

namespace kerncast::python {
namespace {

/// A prepared launch as its handle keeps it: the launch, and its own references to everything that the launch
/// uses.
struct Handle {
  OpFunction* function = nullptr;
  PreparedLaunch launch;
  int device = 0;
  Stream fixed_stream = nullptr;
  bool has_stream = false;
  PyObject* leader = nullptr;  ///< one of `values`, or null
  Values values{};             ///< owned
  Ref result;
  std::vector<Ref> made;  ///< workspaces, and outputs that the caller left out
};

struct PreparedObject {
  PyObject_HEAD Handle* handle;
};

PyTypeObject* prepared_type = nullptr;

Handle& handle_of(PyObject* self) {
  return *reinterpret_cast<PreparedObject*>(self)->handle;
}

void destroy(PyObject* self) {
  Handle* handle = reinterpret_cast<PreparedObject*>(self)->handle;
  if (handle != nullptr) {
    for (PyObject* value : handle->values) {
      Py_XDECREF(value);
    }
    delete handle;
  }
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* repeat(Handle& handle, PyObject* stream) {
  static_cast<void>(runtime());
  Stream on = handle.fixed_stream;
  if (stream != nullptr && stream != Py_None) {
    on = stream_of(stream);
  } else if (!handle.has_stream && handle.leader != nullptr) {
    on = current_stream(handle.leader, handle.device);
  }
  const DeviceGuard guard(handle.device);
  handle.launch.launch(on);
  return Ref::share(handle.result.get()).release();
}

/// A call of the op with the values of the handle, but for those that the arguments name. The outputs of the
/// handle serve again.
PyObject* call_anew(Handle& handle, PyObject* args, PyObject* kwargs) {
  std::array<PyObject*, Values().size()> arguments{};
  const Py_ssize_t count = PyTuple_Size(args);
  const Py_ssize_t named = kwargs != nullptr ? PyDict_Size(kwargs) : 0;
  if (static_cast<std::size_t>(count + named) > arguments.size()) {
    refuse(handle.function->op().name + ": too many arguments");
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    arguments[static_cast<std::size_t>(i)] = PyTuple_GetItem(args, i);
  }
  const Ref names = Ref::take(PyTuple_New(named));
  PyObject* name = nullptr;
  PyObject* value = nullptr;
  Py_ssize_t at = 0;
  for (Py_ssize_t i = 0; kwargs != nullptr && PyDict_Next(kwargs, &at, &name, &value) != 0; ++i) {
    require(PyTuple_SetItem(names.get(), i, Ref::share(name).release()));
    arguments[static_cast<std::size_t>(count + i)] = value;
  }
  Values values;
  handle.function->place(arguments.data(), count, names.get(), values);
  const std::size_t out = handle.function->stream_place() - 1;
  const bool new_outputs = values[out] != nullptr;
  for (std::size_t i = 0; i < handle.function->places(); ++i) {
    const bool output = i < handle.function->op().tensors.size() &&
                        handle.function->op().tensors[i].direction == Direction::out;
    if (values[i] == nullptr && !(new_outputs && (output || i == out))) {
      values[i] = handle.values[i];
    }
  }
  return handle.function->call(values);
}

PyObject* call(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded([&] {
    Handle& handle = handle_of(self);
    if (PyTuple_Size(args) == 0) {
      const Py_ssize_t named = kwargs != nullptr ? PyDict_Size(kwargs) : 0;
      PyObject* stream = named == 1 ? PyDict_GetItemString(kwargs, "stream") : nullptr;
      if (named == 0 || stream != nullptr) {
        return repeat(handle, stream);
      }
    }
    return call_anew(handle, args, kwargs);
  });
}

}  // namespace

void add_prepared_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(&destroy)},
      {Py_tp_call, reinterpret_cast<void*>(&call)},
      {Py_tp_doc, const_cast<char*>(
                      "A prepared call, made by kerncast.prepare. Called without tensors it repeats the "
                      "launch\nwith the same memory, which it keeps alive; called with tensors it makes the "
                      "call anew\nwith them and the other arguments of the preparation.")},
      {0, nullptr}};
  PyType_Spec spec{"kerncast.Prepared", sizeof(PreparedObject), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  Ref type = Ref::take(PyType_FromSpec(&spec));
  prepared_type = reinterpret_cast<PyTypeObject*>(type.get());
  require(PyModule_AddObjectRef(module, "Prepared", type.get()));
  static_cast<void>(type.release());
}

PyObject* prepare(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  return guarded([&] {
    if (count < 1) {
      refuse("kerncast.prepare needs the name of an op first, such as 'norm.rms_norm'");
    }
    OpFunction& function = op_function(text_of(arguments[0]));
    Ref object = Ref::take(PyType_GenericAlloc(prepared_type, 0));
    auto* handle = new Handle();
    reinterpret_cast<PreparedObject*>(object.get())->handle = handle;
    Values values;
    function.place(arguments + 1, count - 1, names, values);
    BoundCall bound = function.bind(values);
    for (std::size_t i = 0; i < function.places(); ++i) {
      Py_XINCREF(values[i]);
      handle->values[i] = values[i];
    }
    handle->function = &function;
    handle->device = bound.call.device;
    handle->leader = bound.leader;
    PyObject* stream = values[function.stream_place()];
    handle->has_stream = stream != nullptr && stream != Py_None;
    handle->fixed_stream = bound.stream;
    handle->result = std::move(bound.result);
    handle->made = std::move(bound.made);
    const DeviceGuard guard(handle->device);
    {
      const WithoutLock unlocked;
      handle->launch = runtime().prepare(function.op(), bound.call);
    }
    return object.release();
  });
}

}  // namespace kerncast::python
