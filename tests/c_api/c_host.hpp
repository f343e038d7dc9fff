#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kerncast/kerncast.h"
#include "kerncast/kerncast.hpp"
#include "tests/temporary_directory.hpp"

/// The parts that the tests of the C API share: calls with their errors, tensors, a host and the arguments of
/// a call.
namespace kerncast::test {

/// The status and the message of a call that is expected to fail, or of one that succeeded.
struct Outcome {
  kerncast_status status = KERNCAST_OK;
  std::string message;
};

template <class Call>
Outcome outcome(Call&& call) {
  kerncast_error* error = nullptr;
  Outcome out;
  out.status = call(&error);
  CHECK(kerncast_error_status(error) == out.status);
  out.message = kerncast_error_message(error);
  kerncast_error_free(error);
  return out;
}

template <class Call>
void require_ok(Call&& call) {
  const Outcome out = outcome(call);
  INFO(out.message);
  REQUIRE(out.status == KERNCAST_OK);
}

/// A DLPack tensor with the memory, dtype and shape of a view.
struct Tensor {
  explicit Tensor(const TensorView& view) : extents(view.shape), strides(view.strides) {
    const auto bits = static_cast<std::uint8_t>(size_of(view.dtype) * 8);
    std::uint8_t code = KERNCAST_DL_FLOAT;
    switch (view.dtype) {
      case DType::bf16:
        code = KERNCAST_DL_BFLOAT;
        break;
      case DType::fp8_e4m3:
        code = KERNCAST_DL_FLOAT8_E4M3FN;
        break;
      case DType::i32:
        code = KERNCAST_DL_INT;
        break;
      default:
        break;
    }
    tensor = {view.data, {KERNCAST_DL_CUDA, view.device}, view.rank, {code, bits, 1}, nullptr, nullptr, 0};
    tensor.shape = extents.data();
    tensor.strides = strides.data();
  }
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  std::array<std::int64_t, TensorView::max_rank> extents;
  std::array<std::int64_t, TensorView::max_rank> strides;
  kerncast_dl_tensor tensor;
};

/// A runtime in C with a cache of its own, a runtime in C++ with the same cache, and device memory.
class CHost {
 public:
  CHost() : cpp(options()) {
    kerncast_options* c_options = nullptr;
    require_ok([&](auto** error) { return kerncast_options_create(&c_options, error); });
    require_ok([&](auto** error) {
      return kerncast_options_set(c_options, "cache_directory", folder.path().c_str(), error);
    });
    require_ok([&](auto** error) { return kerncast_runtime_create(c_options, &c, error); });
    kerncast_options_free(c_options);
    require_ok([&](auto** error) { return kerncast_make_current(c, 0, error); });
    cpp.make_current(0);
  }
  ~CHost() {
    kerncast_runtime_free(c);
    for (const std::uint64_t address : owned) {
      symbol<int(std::uint64_t)>("cuMemFree")(address);
    }
  }
  CHost(const CHost&) = delete;
  CHost& operator=(const CHost&) = delete;

  template <class Function>
  [[nodiscard]] Function* symbol(const char* name) const {
    return reinterpret_cast<Function*>(cpp.driver_symbol(name));
  }
  /// Device memory with bytes that depend on `seed`; bf16 and f32 values in it are finite.
  void* memory(std::size_t bytes, unsigned seed) {
    std::uint64_t address = 0;
    REQUIRE(symbol<int(std::uint64_t*, std::size_t)>("cuMemAlloc")(&address, bytes) == 0);
    owned.push_back(address);
    std::vector<unsigned char> host(bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
      host[i] = static_cast<unsigned char>(i % 2 == 1 ? 0x3F : (i * 37 + seed) & 0x7F);
    }
    REQUIRE(symbol<int(std::uint64_t, const void*, std::size_t)>("cuMemcpyHtoD")(address, host.data(),
                                                                                 bytes) == 0);
    return reinterpret_cast<void*>(address);
  }
  [[nodiscard]] std::vector<unsigned char> bytes(const void* address, std::size_t count) const {
    std::vector<unsigned char> host(count);
    REQUIRE(symbol<int(void*, std::uint64_t, std::size_t)>("cuMemcpyDtoH")(
                host.data(), reinterpret_cast<std::uint64_t>(address), count) == 0);
    return host;
  }
  [[nodiscard]] RuntimeOptions options() const {
    RuntimeOptions out;
    out.cache_directory = folder.path();
    return out;
  }

  TemporaryDirectory folder;
  Runtime cpp;
  kerncast_runtime* c = nullptr;

 private:
  std::vector<std::uint64_t> owned;
};

/// The arguments of a call in C.
class Arguments {
 public:
  explicit Arguments(const char* op) {
    const kerncast_op* found = nullptr;
    require_ok([&](auto** error) { return kerncast_op_find(op, &found, error); });
    require_ok([&](auto** error) { return kerncast_arguments_create(found, &handle, error); });
  }
  ~Arguments() { kerncast_arguments_free(handle); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  Arguments& tensor(const char* name, const TensorView& view) {
    const Tensor given(view);
    require_ok(
        [&](auto** error) { return kerncast_arguments_set_tensor(handle, name, &given.tensor, error); });
    return *this;
  }

  kerncast_arguments* handle = nullptr;
};

constexpr std::int64_t rows = 3;
constexpr std::int64_t hidden = 256;
constexpr std::size_t matrix_bytes = rows * hidden * 2;

inline TensorView matrix(void* data, std::int64_t count = rows) {
  return TensorView::contiguous(data, DType::bf16, {count, hidden});
}

/// The message of C++ for a call that fails.
inline std::string cpp_message(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace kerncast::test
