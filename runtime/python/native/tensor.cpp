#include "runtime/python/native/tensor.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "runtime/python/native/device.hpp"
#include "runtime/python/native/errors.hpp"

namespace kerncast::python {
namespace {

struct TensorObject {
  PyObject_HEAD TensorView view;
};

PyTypeObject* tensor_type = nullptr;

TensorView& mutable_view(PyObject* object) {
  return reinterpret_cast<TensorObject*>(object)->view;
}

[[noreturn]] void refuse_size() {
  refuse("a tensor has fewer than 2^63 elements and bytes");
}

/// Bytes from the first element to the end of the last one.
std::size_t span_bytes(const TensorView& view) {
  std::int64_t bytes = 1;
  bool beyond = false;
  for (std::size_t i = 0; i < static_cast<std::size_t>(view.rank); ++i) {
    if (view.shape[i] == 0) {
      return 0;
    }
    std::int64_t reach = 0;
    beyond |= __builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &reach);
    beyond |= __builtin_add_overflow(bytes, reach, &bytes);
  }
  beyond |= __builtin_mul_overflow(bytes, std::int64_t{size_of(view.dtype)}, &bytes);
  if (beyond) {
    refuse_size();
  }
  return static_cast<std::size_t>(bytes);
}

Ref integers(const std::array<std::int64_t, TensorView::max_rank>& values, int count) {
  Ref tuple = Ref::take(PyTuple_New(count));
  for (int i = 0; i < count; ++i) {
    require(PyTuple_SetItem(tuple.get(), i,
                            Ref::take(PyLong_FromLongLong(values[static_cast<std::size_t>(i)])).release()));
  }
  return tuple;
}

/// Reads a sequence of at most max_rank integers and returns their number.
int read_integers(PyObject* sequence, std::array<std::int64_t, TensorView::max_rank>& out) {
  const Ref tuple = Ref::take(PySequence_Tuple(sequence));
  const Py_ssize_t count = PyTuple_Size(tuple.get());
  if (count > TensorView::max_rank) {
    refuse("a tensor has at most " + std::to_string(TensorView::max_rank) + " dimensions, not " +
           std::to_string(count));
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    const long long value = PyLong_AsLongLong(PyTuple_GetItem(tuple.get(), i));
    if (value == -1 && PyErr_Occurred() != nullptr) {
      throw PythonError();
    }
    if (value < 0) {
      refuse("a dimension or stride is " + std::to_string(value) + "; it must not be negative");
    }
    out[static_cast<std::size_t>(i)] = value;
  }
  return static_cast<int>(count);
}

void make_contiguous(TensorView& view) {
  std::int64_t stride = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    view.strides[static_cast<std::size_t>(i)] = stride;
    if (__builtin_mul_overflow(stride, std::max<std::int64_t>(view.shape[static_cast<std::size_t>(i)], 1),
                               &stride)) {
      refuse_size();
    }
  }
}

PyObject* create(PyTypeObject*, PyObject* args, PyObject* kwargs) noexcept {
  return guarded([&] {
    static const char* names[] = {"shape", "dtype", "device", "strides", nullptr};
    PyObject* shape = nullptr;
    PyObject* dtype = nullptr;
    PyObject* strides = Py_None;
    TensorView view;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "OO|iO", const_cast<char**>(names), &shape, &dtype,
                                    &view.device, &strides) == 0) {
      throw PythonError();
    }
    view.rank = read_integers(shape, view.shape);
    view.dtype = dtype_of(dtype);
    make_contiguous(view);
    if (strides != Py_None && read_integers(strides, view.strides) != view.rank) {
      refuse("a tensor needs one stride for each of its dimensions");
    }
    return new_tensor(view).release();
  });
}

void destroy(PyObject* self) {
  const TensorView& view = view_of_tensor(self);
  release(view.device, view.data);
  PyTypeObject* type = Py_TYPE(self);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyObject* get_shape(PyObject* self, void*) {
  return guarded([&] { return integers(view_of_tensor(self).shape, view_of_tensor(self).rank).release(); });
}

PyObject* get_strides(PyObject* self, void*) {
  return guarded([&] { return integers(view_of_tensor(self).strides, view_of_tensor(self).rank).release(); });
}

PyObject* get_dtype(PyObject* self, void*) {
  const std::string_view name = name_of(view_of_tensor(self).dtype);
  return PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size()));
}

PyObject* get_device(PyObject* self, void*) {
  return PyLong_FromLong(view_of_tensor(self).device);
}

PyObject* get_data_ptr(PyObject* self, void*) {
  return PyLong_FromVoidPtr(view_of_tensor(self).data);
}

PyObject* get_span_bytes(PyObject* self, void*) {
  return PyLong_FromSize_t(span_bytes(view_of_tensor(self)));
}

/// A DLPack structure with what it refers to. `Managed` is one of the two forms of DLPack.
template <class Managed>
struct Export {
  Managed managed{};
  std::array<std::int64_t, TensorView::max_rank> shape;
  std::array<std::int64_t, TensorView::max_rank> strides;
  PyObject* owner;

  static void destroy(Managed* managed) {
    std::unique_ptr<Export> self(static_cast<Export*>(managed->manager_ctx));
    const PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(self->owner);
    PyGILState_Release(state);
  }

  static PyObject* capsule(PyObject* owner, const char* name) {
    auto exported = std::make_unique<Export>();
    const TensorView& view = view_of_tensor(owner);
    exported->shape = view.shape;
    exported->strides = view.strides;
    exported->owner = owner;
    exported->managed.dl_tensor = {view.data,
                                   {kDLCUDA, view.device},
                                   view.rank,
                                   to_dlpack(view.dtype),
                                   exported->shape.data(),
                                   exported->strides.data(),
                                   0};
    exported->managed.manager_ctx = exported.get();
    exported->managed.deleter = &Export::destroy;
    if constexpr (requires { exported->managed.version; }) {
      exported->managed.version = {dlpack_major, 0};
    }
    Ref made = Ref::take(PyCapsule_New(&exported->managed, name, [](PyObject* capsule) {
      // A consumer renames the capsule when it takes the tensor over.
      const char* left = PyCapsule_GetName(capsule);
      if (left != nullptr && std::string_view(left).starts_with("dltensor")) {
        auto* unused = static_cast<Managed*>(PyCapsule_GetPointer(capsule, left));
        unused->deleter(unused);
      }
    }));
    Py_INCREF(owner);
    static_cast<void>(exported.release());
    return made.release();
  }
};

PyObject* dlpack(PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    static const char* names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
    PyObject* stream = Py_None;
    PyObject* max_version = Py_None;
    PyObject* device = Py_None;
    PyObject* copy = Py_None;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|$OOOO", const_cast<char**>(names), &stream, &max_version,
                                    &device, &copy) == 0) {
      throw PythonError();
    }
    if (copy == Py_True) {
      PyErr_SetString(PyExc_BufferError, "kerncast.Tensor exports its memory without a copy only");
      throw PythonError();
    }
    if (stream != Py_None) {
      const long long number = PyLong_AsLongLong(stream);
      if (number == -1 && PyErr_Occurred() != nullptr) {
        throw PythonError();
      }
      // Work on the two default streams orders itself.
      if (number > 2) {
        wait_for_default_stream(view_of_tensor(self).device,
                                stream_from_number(static_cast<std::uint64_t>(number)));
      }
    }
    if (max_version != Py_None) {
      const Ref major = Ref::take(PySequence_GetItem(max_version, 0));
      if (PyLong_AsLong(major.get()) >= static_cast<long>(dlpack_major)) {
        return Export<DLManagedTensorVersioned>::capsule(self, "dltensor_versioned");
      }
    }
    return Export<DLManagedTensor>::capsule(self, "dltensor");
  });
}

PyObject* dlpack_device(PyObject* self, PyObject*) {
  return Py_BuildValue("(ii)", static_cast<int>(kDLCUDA), view_of_tensor(self).device);
}

/// The address in host memory that Python gives as a number.
void* host_address(PyObject* number) {
  void* address = PyLong_AsVoidPtr(number);
  if (address == nullptr && PyErr_Occurred() != nullptr) {
    throw PythonError();
  }
  return address;
}

PyObject* copy_from_address(PyObject* self, PyObject* number) {
  return guarded([&] {
    const TensorView& view = view_of_tensor(self);
    copy_to_device(view.device, view.data, host_address(number), span_bytes(view));
    return Ref::share(Py_None).release();
  });
}

PyObject* copy_to_address(PyObject* self, PyObject* number) {
  return guarded([&] {
    const TensorView& view = view_of_tensor(self);
    void* to = host_address(number);
    {
      const WithoutLock unlocked;
      copy_to_host(view.device, to, view.data, span_bytes(view));
    }
    return Ref::share(Py_None).release();
  });
}

PyMethodDef methods[] = {
    {"__dlpack__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&dlpack)),
     METH_VARARGS | METH_KEYWORDS, "The tensor as a DLPack capsule."},
    {"__dlpack_device__", &dlpack_device, METH_NOARGS, "The device, as DLPack names it."},
    {"_copy_from_address", &copy_from_address, METH_O, "Copies the storage from host memory."},
    {"_copy_to_address", &copy_to_address, METH_O, "Copies the storage to host memory."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef properties[] = {
    {"shape", &get_shape, nullptr, "Dimensions.", nullptr},
    {"strides", &get_strides, nullptr, "Distances of neighbours along each dimension, in elements.", nullptr},
    {"dtype", &get_dtype, nullptr, "Element type, such as 'bf16'.", nullptr},
    {"device", &get_device, nullptr, "Ordinal of the device that holds the memory.", nullptr},
    {"data_ptr", &get_data_ptr, nullptr, "Address of the first element.", nullptr},
    {"span_bytes", &get_span_bytes, nullptr, "Bytes from the first element to the end of the last.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

struct DTypeName {
  std::string_view name;
  DType type;
};

/// The names that other libraries use.
constexpr DTypeName other_names[] = {
    {"float32", DType::f32},
    {"float", DType::f32},
    {"float16", DType::f16},
    {"half", DType::f16},
    {"bfloat16", DType::bf16},
    {"float64", DType::f64},
    {"double", DType::f64},
    {"float8_e4m3fn", DType::fp8_e4m3},
    {"float8_e5m2", DType::fp8_e5m2},
    {"float8_e8m0fnu", DType::ue8m0},
    {"int8", DType::i8},
    {"uint8", DType::u8},
    {"int32", DType::i32},
    {"int64", DType::i64},
    {"float4_e2m1fn_x2", DType::u8},
};

}  // namespace

void add_tensor_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(&create)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&destroy)},
      {Py_tp_methods, methods},
      {Py_tp_getset, properties},
      {Py_tp_doc,
       const_cast<char*>("Tensor(shape, dtype, device=0, strides=None)\n--\n\n"
                         "Device memory with a shape and a dtype. Its contents are undefined at "
                         "first.\nStrides are in elements; without them the tensor is contiguous.")},
      {0, nullptr}};
  PyType_Spec spec{"kerncast.Tensor", sizeof(TensorObject), 0, Py_TPFLAGS_DEFAULT, slots};
  Ref type = Ref::take(PyType_FromSpec(&spec));
  tensor_type = reinterpret_cast<PyTypeObject*>(type.get());
  require(PyModule_AddObjectRef(module, "Tensor", type.get()));
  static_cast<void>(type.release());
}

bool is_tensor(PyObject* object) noexcept {
  return Py_TYPE(object) == tensor_type;
}

const TensorView& view_of_tensor(PyObject* object) noexcept {
  return mutable_view(object);
}

Ref new_tensor(const TensorView& view) {
  void* data = allocate(view.device, span_bytes(view));
  PyObject* object = PyType_GenericAlloc(tensor_type, 0);
  if (object == nullptr) {
    release(view.device, data);
    throw PythonError();
  }
  mutable_view(object) = view;
  mutable_view(object).data = data;
  return Ref::take(object);
}

DType dtype_of(PyObject* object) {
  Ref text = Ref::share(object);
  if (PyType_Check(object) != 0) {
    text = Ref::take(PyObject_GetAttrString(object, "__name__"));
  } else if (PyUnicode_Check(object) == 0) {
    text = Ref::take(PyObject_Str(object));
  }
  std::string_view name = text_of(text.get());
  name = name.substr(name.rfind('.') + 1);
  if (const std::optional<DType> type = dtype_from_name(name)) {
    return *type;
  }
  const auto* found = std::find_if(std::begin(other_names), std::end(other_names),
                                   [&](const DTypeName& other) { return other.name == name; });
  if (found == std::end(other_names)) {
    refuse(
        "'" + std::string(name) +
        "' is no dtype of Kerncast; use f32, f16, bf16, fp8_e4m3, fp8_e5m2, ue8m0, i8, u8, i32, i64 or f64");
  }
  return found->type;
}

DLDataType to_dlpack(DType type) noexcept {
  const auto bits = static_cast<std::uint8_t>(size_of(type) * 8);
  switch (type) {
    case DType::bf16:
      return {kDLBfloat, bits, 1};
    case DType::fp8_e4m3:
      return {kDLFloat8_e4m3fn, bits, 1};
    case DType::fp8_e5m2:
      return {kDLFloat8_e5m2, bits, 1};
    case DType::ue8m0:
      return {kDLFloat8_e8m0fnu, bits, 1};
    case DType::u8:
      return {kDLUInt, bits, 1};
    case DType::i8:
    case DType::i32:
    case DType::i64:
      return {kDLInt, bits, 1};
    default:
      return {kDLFloat, bits, 1};
  }
}

}  // namespace kerncast::python
