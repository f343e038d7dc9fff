#include "runtime/python/native/errors.hpp"

namespace kerncast::python {

void set_exception(const Error& error) noexcept {
  try {
    const Ref module = Ref::take(PyImport_ImportModule("kerncast.errors"));
    const Ref make = Ref::take(PyObject_GetAttrString(module.get(), "from_code"));
    const std::string_view message = error.what();
    const std::string_view code = error_name(error.code());
    const Ref raised = Ref::take(PyObject_CallFunction(
        make.get(), "s#s#i", code.data(), static_cast<Py_ssize_t>(code.size()), message.data(),
        static_cast<Py_ssize_t>(message.size()), error.driver_result()));
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.get())), raised.get());
  } catch (const PythonError&) {
    return;  // the exception that occurred instead is set
  }
}

void refuse(const std::string& message) {
  throw Error(ErrorCode::invalid_argument, message);
}

std::string_view text_of(PyObject* object) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text == nullptr) {
    throw PythonError();
  }
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace kerncast::python
