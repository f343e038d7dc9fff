#include "runtime/python/native/torch/shim.hpp"

#include <algorithm>

namespace kerncast::python {
namespace {

/// Looks functions up and keeps the name of the first one that is missing.
class Finder {
 public:
  explicit Finder(const TorchShim::Lookup& lookup) : lookup_(lookup) {}

  template <class Function>
  void find(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(lookup_(name));
    if (function == nullptr && missing_.empty()) {
      missing_ = name;
    }
  }

  template <class Function>
  void find_if_there(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(lookup_(name));
  }

  /// The number that torch tells by a function without arguments.
  void ask(std::int32_t& number, const char* name) {
    std::int32_t (*function)() = nullptr;
    find(function, name);
    number = function != nullptr ? function() : -1;
  }

  [[nodiscard]] const std::string& missing() const noexcept { return missing_; }

 private:
  const TorchShim::Lookup& lookup_;
  std::string missing_;
};

struct DTypeNumber {
  DType type;
  const char* function;
};

constexpr DTypeNumber dtypes[] = {{DType::f32, "aoti_torch_dtype_float32"},
                                  {DType::f16, "aoti_torch_dtype_float16"},
                                  {DType::bf16, "aoti_torch_dtype_bfloat16"},
                                  {DType::fp8_e4m3, "aoti_torch_dtype_float8_e4m3fn"},
                                  {DType::fp8_e5m2, "aoti_torch_dtype_float8_e5m2"},
                                  {DType::ue8m0, "torch_dtype_float8_e8m0fnu"},
                                  {DType::i8, "aoti_torch_dtype_int8"},
                                  {DType::u8, "aoti_torch_dtype_uint8"},
                                  {DType::i32, "aoti_torch_dtype_int32"},
                                  {DType::i64, "aoti_torch_dtype_int64"},
                                  {DType::f64, "aoti_torch_dtype_float64"}};

}  // namespace

std::string TorchShim::find(const Lookup& lookup) {
  Finder finder(lookup);
  finder.find(delete_tensor, "aoti_torch_delete_tensor_object");
  finder.find(data, "aoti_torch_get_data_ptr");
  finder.find(rank, "aoti_torch_get_dim");
  finder.find(shape, "aoti_torch_get_sizes");
  finder.find(strides, "aoti_torch_get_strides");
  finder.find(dtype, "aoti_torch_get_dtype");
  finder.find(device_type, "aoti_torch_get_device_type");
  finder.find(device_index, "aoti_torch_get_device_index");
  finder.find(empty_strided, "aoti_torch_empty_strided");
  finder.find(string_length, "torch_string_length");
  finder.find(string_text, "torch_string_c_str");
  finder.find(delete_string, "torch_delete_string");
  finder.find(current_stream, "aoti_torch_get_current_cuda_stream");
  finder.find(open_library, "aoti_torch_library_init_impl");
  finder.find(implement, "torch_library_impl");
  finder.find_if_there(delete_optional, "torch_delete_stable_ivalue");
  finder.find_if_there(last_error, "torch_exception_get_what_without_backtrace");
  finder.ask(cuda, "aoti_torch_device_type_cuda");
  finder.ask(fp4_pair, "torch_dtype_float4_e2m1fn_x2");
  for (const DTypeNumber& each : dtypes) {
    finder.ask(dtype_numbers[static_cast<std::size_t>(each.type)], each.function);
  }
  return finder.missing();
}

std::optional<DType> TorchShim::dtype_from(std::int32_t number) const noexcept {
  if (number == fp4_pair) {
    return DType::u8;
  }
  const auto* const found = std::find(dtype_numbers.begin(), dtype_numbers.end(), number);
  if (found == dtype_numbers.end()) {
    return std::nullopt;
  }
  return static_cast<DType>(found - dtype_numbers.begin());
}

}  // namespace kerncast::python
