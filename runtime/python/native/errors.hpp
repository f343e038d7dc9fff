#pragma once

#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "kerncast/error.hpp"
#include "runtime/python/native/python.hpp"

namespace kerncast::python {

/// Sets the Python exception of kerncast.errors that belongs to the code of `error`, with the same text.
void set_exception(const Error& error) noexcept;

/// Throws Error(invalid_argument).
[[noreturn]] void refuse(const std::string& message);

/// Runs `work`, which returns a new reference, and turns C++ exceptions into Python ones. Every function that
/// Python calls goes through it.
template <class Work>
PyObject* guarded(Work&& work) noexcept {
  try {
    return work();
  } catch (const PythonError&) {
    return nullptr;  // the exception is set
  } catch (const Error& error) {
    set_exception(error);
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

/// The UTF-8 text of a str. Throws PythonError. It lives as long as the object.
[[nodiscard]] std::string_view text_of(PyObject* object);

}  // namespace kerncast::python
