#include "runtime/python/native/exchange.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "runtime/python/native/device.hpp"
#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/tensor.hpp"

namespace kerncast::python {
namespace {

/// A type of tensors, which is kept alive, and its table. Python's lock guards the list.
struct KnownType {
  PyTypeObject* type;
  const DLPackExchangeAPI* api;
};
std::vector<KnownType> known_types;

const DLPackExchangeAPI* look_up(PyTypeObject* type) {
  PyObject* found = PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dlpack_c_exchange_api__");
  if (found == nullptr) {
    PyErr_Clear();
    return nullptr;
  }
  const Ref capsule = Ref::take(found);
  const auto* api =
      static_cast<const DLPackExchangeAPI*>(PyCapsule_GetPointer(capsule.get(), "dlpack_exchange_api"));
  if (api == nullptr) {
    PyErr_Clear();
  }
  while (api != nullptr && api->version.major != dlpack_major) {
    api = api->prev_api;
  }
  return api;
}

/// The attribute `name`, or an empty reference if there is none.
Ref attribute(PyObject* object, const char* name) {
  PyObject* found = PyObject_GetAttrString(object, name);
  if (found == nullptr) {
    PyErr_Clear();
    return {};
  }
  return Ref::take(found);
}

std::uint64_t number_of(PyObject* object) {
  const unsigned long long number = PyLong_AsUnsignedLongLong(object);
  if (number == static_cast<unsigned long long>(-1) && PyErr_Occurred() != nullptr) {
    throw PythonError();
  }
  return number;
}

std::string type_name(PyObject* object) {
  const Ref name =
      Ref::take(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__name__"));
  return std::string(text_of(name.get()));
}

/// The name of the library of `object`'s type, such as "torch".
std::string library_of(PyObject* object) {
  const Ref module = attribute(reinterpret_cast<PyObject*>(Py_TYPE(object)), "__module__");
  if (module.get() == nullptr || PyUnicode_Check(module.get()) == 0) {
    return {};
  }
  const std::string_view name = text_of(module.get());
  return std::string(name.substr(0, name.find('.')));
}

DType dtype_of_dlpack(const DLDataType& type, std::string_view op, std::string_view name) {
  constexpr DType all[] = {DType::f32,      DType::f16,   DType::bf16, DType::fp8_e4m3,
                           DType::fp8_e5m2, DType::ue8m0, DType::i8,   DType::u8,
                           DType::i32,      DType::i64,   DType::f64};
  for (const DType candidate : all) {
    const DLDataType wanted = to_dlpack(candidate);
    if (type.code == wanted.code && type.bits == wanted.bits && type.lanes == 1) {
      return candidate;
    }
  }
  // Two fp4 elements in a byte.
  if (type.code == kDLFloat4_e2m1fn && type.bits == 4 && type.lanes == 2) {
    return DType::u8;
  }
  refuse(std::string(op) + ": tensor '" + std::string(name) + "' has the DLPack dtype (code " +
         std::to_string(type.code) + ", " + std::to_string(type.bits) + " bits, " +
         std::to_string(type.lanes) + " lanes), which Kerncast does not have; convert it first");
}

void set_error(void*, const char* kind, const char* message) {
  PyErr_Format(std::string_view(kind) == "MemoryError" ? PyExc_MemoryError : PyExc_RuntimeError, "%s",
               message);
}

/// Contiguous memory from the allocator of a library.
Ref allocate_by(const DLPackExchangeAPI& api, DLDevice device, DLDataType type, std::int64_t* shape,
                int rank) {
  DLTensor prototype{nullptr, device, rank, type, shape, nullptr, 0};
  DLManagedTensorVersioned* made = nullptr;
  if (api.managed_tensor_allocator(&prototype, &made, nullptr, &set_error) != 0) {
    throw PythonError();
  }
  void* object = nullptr;
  if (api.managed_tensor_to_py_object_no_sync(made, &object) != 0) {
    throw PythonError();
  }
  return Ref::take(static_cast<PyObject*>(object));
}

bool contiguous(const TensorView& view) {
  std::int64_t stride = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    if (view.dim(i) != 1 && view.stride(i) != stride) {
      return false;
    }
    stride *= view.dim(i);
  }
  return true;
}

}  // namespace

const DLPackExchangeAPI* exchange_of(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  for (const KnownType& known : known_types) {
    if (known.type == type) {
      return known.api;
    }
  }
  const DLPackExchangeAPI* api = look_up(type);
  Py_INCREF(reinterpret_cast<PyObject*>(type));
  known_types.push_back({type, api});
  return api;
}

TensorReader::~TensorReader() {
  for (DLManagedTensorVersioned* managed : versioned_) {
    managed->deleter(managed);
  }
  for (DLManagedTensor* managed : unversioned_) {
    managed->deleter(managed);
  }
}

void TensorReader::read(PyObject* object, std::string_view name, bool written, TensorView& view) {
  if (is_tensor(object)) {
    view = view_of_tensor(object);
    return;
  }
  const DLPackExchangeAPI* api = exchange_of(object);
  if (api == nullptr) {
    read_capsule(object, name, written, view);
    return;
  }
  if (api->dltensor_from_py_object_no_sync != nullptr) {
    DLTensor tensor{};
    require(api->dltensor_from_py_object_no_sync(object, &tensor) == 0 ? 0 : -1);
    convert(tensor, name, view);
    return;
  }
  DLManagedTensorVersioned* managed = nullptr;
  require(api->managed_tensor_from_py_object_no_sync(object, &managed) == 0 ? 0 : -1);
  versioned_.push_back(managed);
  convert(managed->dl_tensor, name, view);
}

void TensorReader::read_capsule(PyObject* object, std::string_view name, bool written, TensorView& view) {
  const Ref exporter = attribute(object, "__dlpack__");
  const Ref device = attribute(object, "__dlpack_device__");
  if (exporter.get() == nullptr || device.get() == nullptr) {
    refuse(std::string(op_) + ": tensor '" + std::string(name) + "' is a " + type_name(object) +
           ", which has no __dlpack__; pass a tensor of device memory, such as kerncast.from_numpy(array)");
  }
  const Ref place = Ref::take(PyObject_CallNoArgs(device.get()));
  const Ref kind = Ref::take(PySequence_GetItem(place.get(), 0));
  const bool on_device = PyLong_AsLong(kind.get()) != kDLCPU;
  const Ref none = Ref::take(PyTuple_New(0));
  const Ref options = Ref::take(PyDict_New());
  if (on_device) {
    const Ref stream =
        Ref::take(PyLong_FromVoidPtr(stream_ == nullptr ? reinterpret_cast<void*>(1) : stream_));
    require(PyDict_SetItemString(options.get(), "stream", stream.get()));
  }
  const Ref version = Ref::take(Py_BuildValue("(ii)", 1, 0));
  require(PyDict_SetItemString(options.get(), "max_version", version.get()));
  PyObject* made = PyObject_Call(exporter.get(), none.get(), options.get());
  if (made == nullptr && PyErr_ExceptionMatches(PyExc_TypeError) != 0) {
    // A producer of before DLPack 1.0.
    PyErr_Clear();
    require(PyDict_DelItemString(options.get(), "max_version"));
    made = PyObject_Call(exporter.get(), none.get(), options.get());
  }
  const Ref capsule = Ref::take(made);
  if (PyCapsule_IsValid(capsule.get(), "dltensor_versioned") != 0) {
    auto* managed =
        static_cast<DLManagedTensorVersioned*>(PyCapsule_GetPointer(capsule.get(), "dltensor_versioned"));
    versioned_.push_back(managed);
    require(PyCapsule_SetName(capsule.get(), "used_dltensor_versioned"));
    if (written && (managed->flags & dlpack_read_only) != 0 &&
        managed->dl_tensor.device.device_type != kDLCPU) {
      refuse(std::string(op_) + ": tensor '" + std::string(name) +
             "' is written and its library exports it for "
             "reading only; pass kerncast.empty(...) or leave it out");
    }
    convert(managed->dl_tensor, name, view);
    return;
  }
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.get(), "dltensor"));
  if (managed == nullptr) {
    throw PythonError();
  }
  unversioned_.push_back(managed);
  require(PyCapsule_SetName(capsule.get(), "used_dltensor"));
  convert(managed->dl_tensor, name, view);
}

void TensorReader::convert(const DLTensor& tensor, std::string_view name, TensorView& view) const {
  if (tensor.device.device_type != kDLCUDA && tensor.device.device_type != kDLCUDAManaged) {
    const bool host = tensor.device.device_type == kDLCPU;
    refuse(std::string(op_) + ": tensor '" + std::string(name) + "' is " +
           (host ? std::string("host memory, not device memory")
                 : "on a device of DLPack type " + std::to_string(tensor.device.device_type)) +
           "; copy it to the device first");
  }
  if (tensor.ndim > TensorView::max_rank) {
    refuse(std::string(op_) + ": tensor '" + std::string(name) + "' has " + std::to_string(tensor.ndim) +
           " dimensions; at most " + std::to_string(TensorView::max_rank) + " are taken");
  }
  view.data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  view.dtype = dtype_of_dlpack(tensor.dtype, op_, name);
  view.rank = tensor.ndim;
  view.device = tensor.device.device_id;
  std::int64_t stride = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    view.shape[at] = tensor.shape[i];
    view.strides[at] = tensor.strides != nullptr ? tensor.strides[i] : stride;
    if (__builtin_mul_overflow(stride, tensor.shape[i], &stride) && tensor.strides == nullptr) {
      refuse(std::string(op_) + ": tensor '" + std::string(name) + "' has 2^63 elements or more");
    }
  }
}

Stream current_stream(PyObject* object, int device) {
  if (is_tensor(object)) {
    return nullptr;
  }
  if (const DLPackExchangeAPI* api = exchange_of(object)) {
    void* stream = nullptr;
    require(api->current_work_stream(kDLCUDA, device, &stream) == 0 ? 0 : -1);
    return stream_from_number(reinterpret_cast<std::uintptr_t>(stream));
  }
  const std::string library = library_of(object);
  if (library == "torch") {
    const Ref cuda = Ref::take(PyImport_ImportModule("torch.cuda"));
    return stream_of(Ref::take(PyObject_CallMethod(cuda.get(), "current_stream", "i", device)).get());
  }
  if (library == "cupy") {
    const Ref cuda = Ref::take(PyImport_ImportModule("cupy.cuda"));
    return stream_of(Ref::take(PyObject_CallMethod(cuda.get(), "get_current_stream", nullptr)).get());
  }
  return nullptr;
}

Stream stream_of(PyObject* object) {
  if (PyLong_Check(object) != 0) {
    return stream_from_number(number_of(object));
  }
  if (const Ref protocol = attribute(object, "__cuda_stream__"); protocol.get() != nullptr) {
    const Ref pair = PyCallable_Check(protocol.get()) != 0 ? Ref::take(PyObject_CallNoArgs(protocol.get()))
                                                           : Ref::share(protocol.get());
    return stream_from_number(number_of(Ref::take(PySequence_GetItem(pair.get(), 1)).get()));
  }
  for (const char* name : {"cuda_stream", "ptr"}) {
    if (const Ref number = attribute(object, name); number.get() != nullptr) {
      return stream_from_number(number_of(number.get()));
    }
  }
  refuse(
      "stream is a " + type_name(object) +
      "; pass the address of a CUDA stream, 1 for the legacy default stream, 2 for that of the thread, or an "
      "object with __cuda_stream__");
}

Ref allocate_like(PyObject* like, const TensorView& plan) {
  const DLPackExchangeAPI* api = is_tensor(like) ? nullptr : exchange_of(like);
  if (api == nullptr) {
    return new_tensor(plan);
  }
  const DLDevice device{kDLCUDA, plan.device};
  TensorView view = plan;
  if (contiguous(plan)) {
    return allocate_by(*api, device, to_dlpack(plan.dtype), view.shape.data(), plan.rank);
  }
  std::int64_t elements = 1;
  for (int i = 0; i < plan.rank; ++i) {
    elements += std::max<std::int64_t>(plan.dim(i) - 1, 0) * plan.stride(i);
  }
  const Ref flat = allocate_by(*api, device, to_dlpack(plan.dtype), &elements, 1);
  const Ref strided = attribute(flat.get(), "as_strided");
  if (strided.get() == nullptr) {
    return new_tensor(plan);
  }
  const Ref shape = Ref::take(PyTuple_New(plan.rank));
  const Ref strides = Ref::take(PyTuple_New(plan.rank));
  for (int i = 0; i < plan.rank; ++i) {
    require(PyTuple_SetItem(shape.get(), i, Ref::take(PyLong_FromLongLong(plan.dim(i))).release()));
    require(PyTuple_SetItem(strides.get(), i, Ref::take(PyLong_FromLongLong(plan.stride(i))).release()));
  }
  return Ref::take(PyObject_CallFunctionObjArgs(strided.get(), shape.get(), strides.get(), nullptr));
}

}  // namespace kerncast::python
