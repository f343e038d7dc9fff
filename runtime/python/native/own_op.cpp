#include "runtime/python/native/own_op.hpp"

#include <map>
#include <memory>
#include <string>

#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/op_function.hpp"
#include "runtime/python/native/own_op_call.hpp"
#include "runtime/python/native/own_op_description.hpp"

namespace kerncast::python {
namespace {

/// Python's lock, for a callback on any thread.
class WithLock {
 public:
  WithLock() : state_(PyGILState_Ensure()) {}
  ~WithLock() { PyGILState_Release(state_); }
  WithLock(const WithLock&) = delete;
  WithLock& operator=(const WithLock&) = delete;

 private:
  PyGILState_STATE state_;
};

kerncast_status bind(void* user, const kerncast_bindings* given, kerncast_call* call,
                     kerncast_error** error) {
  try {
    fill_call(*static_cast<const OwnOp*>(user), *given, *call);
    return KERNCAST_OK;
  } catch (const Error& refused) {
    const auto status = static_cast<kerncast_status>(refused.code());
    *error = kerncast_error_create(status, refused.what());
    return status;
  } catch (const std::exception& failed) {
    *error = kerncast_error_create(KERNCAST_INTERNAL, failed.what());
    return KERNCAST_INTERNAL;
  }
}

/// A dict of the parameters of a call.
Ref named_params(const OwnOp& op, const std::int32_t* spec) {
  Ref named = Ref::take(PyDict_New());
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const ParamSpec& param = op.params[i];
    Ref value;
    if (param.kind == ParamKind::integer) {
      value = Ref::take(PyLong_FromLong(spec[i]));
    } else if (param.kind == ParamKind::boolean) {
      value = Ref::take(PyBool_FromLong(spec[i]));
    } else {
      const std::string text = format_param(param, spec[i]);
      value = Ref::take(PyUnicode_FromString(text.c_str() + text.find('=') + 1));
    }
    require(PyDict_SetItem(named.get(), op.param_names[i].get(), value.get()));
  }
  return named;
}

Ref call_with(PyObject* function, const Ref& named) {
  const Ref none = Ref::take(PyTuple_New(0));
  return Ref::take(PyObject_Call(function, none.get(), named.get()));
}

void read_extents(PyObject* numbers, std::uint32_t (&to)[3]) {
  const Py_ssize_t count = PySequence_Size(numbers);
  require(count < 0 ? -1 : 0);
  for (Py_ssize_t i = 0; i < 3; ++i) {
    to[i] = 1;
    if (i < count) {
      const Ref number = Ref::take(PySequence_GetItem(numbers, i));
      const unsigned long value = PyLong_AsUnsignedLong(number.get());
      if (value == static_cast<unsigned long>(-1) && PyErr_Occurred() != nullptr) {
        throw PythonError();
      }
      to[i] = static_cast<std::uint32_t>(value);
    }
  }
}

void geometry(void* user, std::int32_t /*stage*/, const std::int32_t* spec, const std::int32_t* tunables,
              const kerncast_device_traits* /*traits*/, std::int64_t rows, kerncast_geometry* out) {
  const OwnOp& op = *static_cast<const OwnOp*>(user);
  const WithLock lock;
  try {
    const Ref named = named_params(op, spec);
    for (std::size_t i = 0; i < op.tunable_names.size(); ++i) {
      require(PyDict_SetItem(named.get(), op.tunable_names[i].get(),
                             Ref::take(PyLong_FromLong(tunables[i])).get()));
    }
    require(PyDict_SetItemString(named.get(), "rows", Ref::take(PyLong_FromLongLong(rows)).get()));
    const Ref made = call_with(op.geometry.get(), named);
    read_extents(Ref::take(PySequence_GetItem(made.get(), 0)).get(), out->grid);
    read_extents(Ref::take(PySequence_GetItem(made.get(), 1)).get(), out->block);
    if (PySequence_Size(made.get()) > 2) {
      const Ref shared = Ref::take(PySequence_GetItem(made.get(), 2));
      out->dynamic_shared = static_cast<std::uint32_t>(PyLong_AsUnsignedLong(shared.get()));
      require(PyErr_Occurred() != nullptr ? -1 : 0);
    }
  } catch (const PythonError&) {
    // The driver refuses a block without threads, so the launch fails.
    PyErr_WriteUnraisable(op.geometry.get());
    *out = {{1, 1, 1}, {0, 0, 0}, 0};
  } catch (const std::exception&) {
    PyErr_NoMemory();
    PyErr_WriteUnraisable(op.geometry.get());
    *out = {{1, 1, 1}, {0, 0, 0}, 0};
  }
}

/// A reason that lives as long as the process.
const char* spec_defect(void* user, const std::int32_t* spec) {
  const OwnOp& op = *static_cast<const OwnOp*>(user);
  const WithLock lock;
  static auto* const reasons = new std::map<std::string, bool, std::less<>>();
  try {
    const Ref reason = call_with(op.constraint.get(), named_params(op, spec));
    return reason.get() == Py_None
               ? nullptr
               : reasons->try_emplace(std::string(text_of(reason.get())), true).first->first.c_str();
  } catch (const PythonError&) {
    PyErr_WriteUnraisable(op.constraint.get());
  } catch (const std::exception&) {
    return "its constraint gives a reason that memory is too short for";
  }
  return "its constraint failed; see the exception on standard error";
}

}  // namespace

PyObject* register_op(PyObject*, PyObject* description) {
  return guarded([&] {
    auto op = std::make_unique<OwnOp>();
    Lists lists;
    read_description(description, *op, lists);
    kerncast_op_definition definition{};
    definition.struct_size = sizeof definition;
    definition.name = lists.texts[0].c_str();
    definition.summary = lists.texts[1].c_str();
    definition.formula = lists.texts[2].c_str();
    definition.include = lists.texts[3].c_str();
    definition.kernel = lists.texts[4].c_str();
    definition.arguments_type = lists.texts[5].c_str();
    definition.sources = &lists.source;
    definition.source_count = 1;
    definition.params = lists.params.data();
    definition.param_count = lists.params.size();
    definition.tunables = lists.tunables.data();
    definition.tunable_count = lists.tunables.size();
    definition.tensors = lists.tensors.data();
    definition.tensor_count = lists.tensors.size();
    definition.scalars = lists.scalars.data();
    definition.scalar_count = lists.scalars.size();
    definition.user = op.get();
    definition.bind = &bind;
    definition.geometry = &geometry;
    definition.waits_for_primary = lists.waits_for_primary ? 1 : 0;
    definition.spec_defect = op->constraint.get() == nullptr ? nullptr : &spec_defect;
    checked([&](kerncast_error** error) { return kerncast_op_register(&definition, nullptr, error); });
    // The registry has the op now, and it is never removed.
    const OwnOp& own = *op.release();
    OpFunction& function = add_op_function(
        own.definition(), own.settings, [&own](const Bindings& bindings) { return plan_own(own, bindings); });
    const std::size_t dot = own.name.find('.');
    const Ref made = function.python_function(Convention::typed);
    return Ref::take(Py_BuildValue("(ssO)", own.name.substr(0, dot).c_str(), own.name.c_str() + dot + 1,
                                   made.get()))
        .release();
  });
}

}  // namespace kerncast::python
