#include "runtime/python/native/torch/library.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/op_function.hpp"
#include "runtime/python/native/torch/operator.hpp"
#include "runtime/python/native/torch/shim.hpp"

namespace kerncast::python {
namespace {

constexpr std::size_t slots = 256;
/// The interface of LibTorch 2.10, which every later one understands.
constexpr std::uint64_t interface_version = (std::uint64_t{2} << 56) | (std::uint64_t{10} << 48);

/// Torch calls an operator without saying which, so each has a function of its own, by its slot. Python's
/// lock guards changes; a slot never changes once torch knows it, and lives as long as the process.
struct Library {
  TorchShim torch;
  void* handle = nullptr;  ///< null: torch is not bound
  std::array<TorchOperator*, slots> operators{};
  std::size_t used = 0;
};

Library& library() {
  static auto* const made = new Library();
  return *made;
}

/// The failure of the last operator of this thread.
struct Failure {
  std::unique_ptr<Error> error;
  bool in_python = false;  ///< the function of Python knows the reason
};
thread_local Failure failure;

void run(std::size_t slot, TorchShim::Value* stack) {
  try {
    library().operators[slot]->run(stack);
  } catch (const Error& error) {
    failure.error = std::make_unique<Error>(error);
    throw;
  } catch (const UnsuitedTensor&) {
    failure.in_python = true;
    throw;
  }
}

template <std::size_t slot>
void run_slot(TorchShim::Value* stack, std::uint64_t, std::uint64_t) {
  run(slot, stack);
}

template <std::size_t... slot>
constexpr std::array<TorchShim::Operator, sizeof...(slot)> functions_of(std::index_sequence<slot...>) {
  return {&run_slot<slot>...};
}
constexpr auto functions = functions_of(std::make_index_sequence<slots>());

TorchArgument argument_of(PyObject* row) {
  const char* name = nullptr;
  const char* type = nullptr;
  if (PyArg_ParseTuple(row, "ss", &name, &type) == 0) {
    throw PythonError();
  }
  TorchArgument argument;
  argument.name = name;
  std::string kind = type;
  argument.optional = kind.ends_with('?');
  kind.resize(kind.size() - (argument.optional ? 1 : 0));
  constexpr std::pair<std::string_view, TorchArgument::Kind> kinds[] = {
      {"Tensor", TorchArgument::Kind::tensor}, {"float", TorchArgument::Kind::real},
      {"int", TorchArgument::Kind::integer},   {"bool", TorchArgument::Kind::boolean},
      {"str", TorchArgument::Kind::text},      {"ScalarType", TorchArgument::Kind::dtype}};
  for (const auto& [text, known] : kinds) {
    if (text == kind) {
      argument.kind = known;
      return argument;
    }
  }
  throw Error(ErrorCode::internal, "no operator of torch has an argument of type '" + kind + "'");
}

void forget_failure() {
  failure.error.reset();
  failure.in_python = false;
}

/// Calls the operation of `self`, a pair of it and of the function of Python.
PyObject* call_guarded(PyObject* self, PyObject* arguments, PyObject* named) {
  return guarded([&] {
    forget_failure();
    PyObject* result = PyObject_Call(PyTuple_GetItem(self, 0), arguments, named);
    if (result != nullptr) {
      return result;
    }
    if (failure.error != nullptr) {
      PyErr_Clear();
      throw Error(*std::exchange(failure.error, nullptr));
    }
    if (std::exchange(failure.in_python, false)) {
      PyErr_Clear();
      return Ref::take(PyObject_Call(PyTuple_GetItem(self, 1), arguments, named)).release();
    }
    throw PythonError();
  });
}

PyMethodDef guarded_method = {"operator",
                              reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call_guarded)),
                              METH_VARARGS | METH_KEYWORDS, "An operator of Kerncast."};

}  // namespace

PyObject* bind_torch(PyObject*, PyObject* lookup) {
  return guarded([&] {
    bool raised = false;
    TorchShim torch;
    std::string missing = torch.find([&](const char* name) -> void* {
      if (raised) {
        return nullptr;
      }
      PyObject* found = PyObject_CallFunction(lookup, "s", name);
      void* address = found != nullptr ? PyLong_AsVoidPtr(found) : nullptr;
      Py_XDECREF(found);
      raised = PyErr_Occurred() != nullptr;
      return address;
    });
    if (raised) {
      throw PythonError();
    }
    Library& own = library();
    if (missing.empty() && own.handle == nullptr) {
      own.torch = torch;
      if (torch.open_library("kerncast", "CUDA", "kerncast", 0, &own.handle) != 0) {
        own.handle = nullptr;
        missing = "a library of operators";
      }
    }
    return Ref::take(PyUnicode_FromString(missing.c_str())).release();
  });
}

PyObject* implement_torch(PyObject*, PyObject* arguments) {
  return guarded([&] {
    const char* op = nullptr;
    const char* name = nullptr;
    PyObject* rows = nullptr;
    int out = 0;
    if (PyArg_ParseTuple(arguments, "ssO!p", &op, &name, &PyList_Type, &rows, &out) == 0) {
      throw PythonError();
    }
    Library& own = library();
    if (own.handle == nullptr || own.used == slots) {
      return Ref::share(Py_False).release();
    }
    const Py_ssize_t count = PyList_Size(rows);
    std::vector<TorchArgument> schema;
    schema.reserve(static_cast<std::size_t>(count));
    for (Py_ssize_t i = 0; i < count; ++i) {
      schema.push_back(argument_of(PyList_GetItem(rows, i)));
    }
    auto made = std::make_unique<TorchOperator>(own.torch, op_function(op), std::move(schema),
                                                out != 0 ? Convention::out : Convention::functional);
    own.operators[own.used] = made.get();
    if (own.torch.implement(own.handle, name, functions[own.used], interface_version) != 0) {
      return Ref::share(Py_False).release();
    }
    static_cast<void>(made.release());
    ++own.used;
    return Ref::share(Py_True).release();
  });
}

PyObject* guard_torch(PyObject*, PyObject* arguments) {
  return guarded([&] {
    if (PyTuple_Size(arguments) != 2) {
      refuse("guard_torch takes an operation and a function");
    }
    return Ref::take(PyCFunction_NewEx(&guarded_method, arguments, nullptr)).release();
  });
}

}  // namespace kerncast::python
