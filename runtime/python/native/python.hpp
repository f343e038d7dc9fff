#pragma once

/// The stable interface of CPython 3.10, so that one binary serves every later version.
#define Py_LIMITED_API 0x030A0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exception>
#include <utility>

namespace kerncast::python {

/// Thrown when a Python exception is set already.
struct PythonError : std::exception {};

/// An owned reference to a Python object.
class Ref {
 public:
  Ref() = default;
  /// Takes over a new reference. Throws PythonError for null, by which CPython reports an exception.
  static Ref take(PyObject* object) {
    if (object == nullptr) {
      throw PythonError();
    }
    return Ref(object);
  }
  /// Adds a reference.
  static Ref share(PyObject* object) {
    Py_XINCREF(object);
    return Ref(object);
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref&& other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  Ref(const Ref&) = delete;
  Ref& operator=(const Ref&) = delete;
  ~Ref() { Py_XDECREF(object_); }

  [[nodiscard]] PyObject* get() const noexcept { return object_; }
  [[nodiscard]] PyObject* release() noexcept { return std::exchange(object_, nullptr); }

 private:
  explicit Ref(PyObject* object) : object_(object) {}
  PyObject* object_ = nullptr;
};

/// Throws PythonError if `status`, the result of a function of CPython, is negative.
inline void require(int status) {
  if (status < 0) {
    throw PythonError();
  }
}

/// Lets other Python threads run while it lives.
class WithoutLock {
 public:
  WithoutLock() : state_(PyEval_SaveThread()) {}
  ~WithoutLock() { PyEval_RestoreThread(state_); }
  WithoutLock(const WithoutLock&) = delete;
  WithoutLock& operator=(const WithoutLock&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace kerncast::python
