#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "kerncast/dtype.hpp"

namespace kerncast::python {

/// The functions of torch's stable C interface (LibTorch 2.11 and later) that the operators need. Their
/// addresses are found in the process, so the package neither includes torch's headers nor links its
/// libraries. Functions that return a Status return 0 on success.
struct TorchShim {
  using Status = std::int32_t;
  /// A tensor that torch owns or that was handed to the caller, by the function that gives it.
  using Tensor = struct TorchTensor*;
  using String = struct TorchString*;
  /// An argument or a result of an operator: a number's bits, or a handle.
  using Value = std::uint64_t;
  /// An operator: it takes over its arguments and puts its results in their place.
  using Operator = void (*)(Value* stack, std::uint64_t arguments, std::uint64_t results);
  /// The address of a function of torch, or null.
  using Lookup = std::function<void*(const char* name)>;

  Status (*delete_tensor)(Tensor) = nullptr;
  Status (*data)(Tensor, void**) = nullptr;
  Status (*rank)(Tensor, std::int64_t*) = nullptr;
  Status (*shape)(Tensor, std::int64_t**) = nullptr;
  Status (*strides)(Tensor, std::int64_t**) = nullptr;
  Status (*dtype)(Tensor, std::int32_t*) = nullptr;
  Status (*device_type)(Tensor, std::int32_t*) = nullptr;
  Status (*device_index)(Tensor, std::int32_t*) = nullptr;
  Status (*empty_strided)(std::int64_t rank, const std::int64_t* shape, const std::int64_t* strides,
                          std::int32_t dtype, std::int32_t device_type, std::int32_t device_index,
                          Tensor*) = nullptr;
  Status (*string_length)(String, std::size_t*) = nullptr;
  Status (*string_text)(String, const char**) = nullptr;
  Status (*delete_string)(String) = nullptr;
  Status (*current_stream)(std::int32_t device_index, void**) = nullptr;
  Status (*open_library)(const char* name, const char* dispatch_key, const char* file, std::uint32_t line,
                         void** library) = nullptr;
  Status (*implement)(void* library, const char* name, Operator, std::uint64_t version) = nullptr;
  /// Frees the place of an optional value. Before LibTorch 2.13 it is null, and `delete` does it.
  Status (*delete_optional)(Value*) = nullptr;
  /// The text of the thread's last error. Before LibTorch 2.13 it is null.
  const char* (*last_error)() = nullptr;

  std::int32_t cuda = 0;                         ///< torch's number of the device type
  std::array<std::int32_t, 11> dtype_numbers{};  ///< by DType
  std::int32_t fp4_pair = 0;                     ///< torch's number of float4_e2m1fn_x2

  /// Fills the table. Returns the name of the first function that torch lacks, or an empty text.
  [[nodiscard]] std::string find(const Lookup& lookup);
  /// The dtype that torch's number stands for; two fp4 elements in a byte are u8.
  [[nodiscard]] std::optional<DType> dtype_from(std::int32_t number) const noexcept;
};

}  // namespace kerncast::python
