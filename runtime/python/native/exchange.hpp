#pragma once

#include <string_view>
#include <vector>

#include "kerncast/runtime.hpp"
#include "kerncast/tensor.hpp"
#include "runtime/python/native/dlpack_abi.hpp"
#include "runtime/python/native/python.hpp"

/// The tensors of other libraries, which reach Kerncast through DLPack.
namespace kerncast::python {

/// The table of functions that the type of `object` offers, or null. It is looked up once for each type.
[[nodiscard]] const DLPackExchangeAPI* exchange_of(PyObject* object);

/// Reads the tensors of one call. What a producer hands out by a capsule is given back at the end of the
/// call; the caller's object keeps the memory until the kernel has run, as with every launch.
class TensorReader {
 public:
  /// `stream` is the one that the call will launch on, for producers that are told by `__dlpack__`.
  TensorReader(std::string_view op, Stream stream) : op_(op), stream_(stream) {}
  ~TensorReader();
  TensorReader(const TensorReader&) = delete;
  TensorReader& operator=(const TensorReader&) = delete;

  /// The view of the argument `name`. Throws Error(invalid_argument) for an object that is no tensor of
  /// device memory, or that is `written` and read-only.
  void read(PyObject* object, std::string_view name, bool written, TensorView& view);

 private:
  void read_capsule(PyObject* object, std::string_view name, bool written, TensorView& view);
  void convert(const DLTensor& tensor, std::string_view name, TensorView& view) const;

  std::string_view op_;
  Stream stream_;
  std::vector<DLManagedTensorVersioned*> versioned_;
  std::vector<DLManagedTensor*> unversioned_;
};

/// The current stream of the library that `object` comes from, for `object`'s device. The legacy default
/// stream for kerncast.Tensor, and where the library has no current stream that it tells.
[[nodiscard]] Stream current_stream(PyObject* object, int device);

/// The stream that a caller names: an int, or an object with `__cuda_stream__`, `cuda_stream` or `ptr`.
[[nodiscard]] Stream stream_of(PyObject* object);

/// A tensor of `plan`'s dtype, shape and strides, from the allocator of the library of `like` if that offers
/// one, else a kerncast.Tensor. Throws Error and PythonError.
[[nodiscard]] Ref allocate_like(PyObject* like, const TensorView& plan);

}  // namespace kerncast::python
