#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/kerncast.h"

/// A copy of libkerncast.so that is loaded at run time and used through the C API. It is closed with the
/// object.
class LoadedLibrary {
 public:
  explicit LoadedLibrary(const std::string& path, int scope = RTLD_LOCAL)
      : handle_(::dlopen(path.c_str(), RTLD_NOW | scope)) {
    if (handle_ == nullptr) {
      throw std::runtime_error(::dlerror());
    }
  }
  ~LoadedLibrary() { ::dlclose(handle_); }
  LoadedLibrary(const LoadedLibrary&) = delete;
  LoadedLibrary& operator=(const LoadedLibrary&) = delete;

  template <class Function>
  [[nodiscard]] Function* symbol(const char* name) const {
    void* address = ::dlsym(handle_, name);
    if (address == nullptr) {
      throw std::runtime_error(std::string("no symbol ") + name);
    }
    return reinterpret_cast<Function*>(address);
  }
  /// Calls a function that reports errors in its last argument, and throws its message.
  template <class Function, class... Arguments>
  void call(const char* name, Arguments... arguments) const {
    kerncast_error* error = nullptr;
    if (symbol<Function>(name)(arguments..., &error) != KERNCAST_OK) {
      const std::string message = symbol<decltype(kerncast_error_message)>("kerncast_error_message")(error);
      symbol<decltype(kerncast_error_free)>("kerncast_error_free")(error);
      throw std::runtime_error(message);
    }
  }

 private:
  void* handle_;
};
#define KERNCAST_CALL(library, function, ...) (library).call<decltype(function)>(#function, __VA_ARGS__)

/// A runtime of a loaded library with options of its own. It keeps the warnings.
class LoadedRuntime {
 public:
  LoadedRuntime(const LoadedLibrary& library, const std::vector<std::pair<std::string, std::string>>& options)
      : library_(library) {
    kerncast_options* made = nullptr;
    KERNCAST_CALL(library, kerncast_options_create, &made);
    for (const auto& [name, value] : options) {
      KERNCAST_CALL(library, kerncast_options_set, made, name.c_str(), value.c_str());
    }
    const auto keep = [](void* user, const char* text) {
      static_cast<std::string*>(user)->append(text).append("\n");
    };
    KERNCAST_CALL(library, kerncast_options_set_warn, made, static_cast<kerncast_warn_function>(keep),
                  static_cast<void*>(&warnings_));
    KERNCAST_CALL(library, kerncast_runtime_create, made, &runtime_);
    library.symbol<decltype(kerncast_options_free)>("kerncast_options_free")(made);
  }
  ~LoadedRuntime() { library_.symbol<decltype(kerncast_runtime_free)>("kerncast_runtime_free")(runtime_); }
  LoadedRuntime(const LoadedRuntime&) = delete;
  LoadedRuntime& operator=(const LoadedRuntime&) = delete;

  [[nodiscard]] kerncast_runtime* get() const { return runtime_; }
  [[nodiscard]] const std::string& warnings() const { return warnings_; }

  template <class Function>
  [[nodiscard]] Function* driver(const char* name) const {
    void* address = nullptr;
    KERNCAST_CALL(library_, kerncast_driver_symbol, runtime_, name, &address);
    return reinterpret_cast<Function*>(address);
  }

  /// Normalises rows of twos on device 0, by name and as a prepared launch, and returns the first result.
  [[nodiscard]] float normalise_twos(std::int64_t hidden = 256) const {
    constexpr std::int64_t rows = 2;
    const auto count = static_cast<std::size_t>(rows * hidden);
    const std::size_t bytes = count * sizeof(float);
    KERNCAST_CALL(library_, kerncast_make_current, runtime_, 0);
    std::uint64_t memory = 0;
    check(driver<int(std::uint64_t*, std::size_t)>("cuMemAlloc")(&memory, 2 * bytes), "cuMemAlloc");
    std::vector<float> values(count, 2.0F);
    check(driver<int(std::uint64_t, const void*, std::size_t)>("cuMemcpyHtoD")(memory, values.data(), bytes),
          "cuMemcpyHtoD");
    std::int64_t shape[] = {rows, hidden};
    kerncast_dl_tensor tensor = {
        nullptr, {KERNCAST_DL_CUDA, 0}, 2, {KERNCAST_DL_FLOAT, 32, 1}, shape, nullptr, 0};
    const kerncast_op* op = nullptr;
    kerncast_arguments* arguments = nullptr;
    KERNCAST_CALL(library_, kerncast_op_find, "norm.rms_norm", &op);
    KERNCAST_CALL(library_, kerncast_arguments_create, op, &arguments);
    tensor.data = reinterpret_cast<void*>(memory);
    KERNCAST_CALL(library_, kerncast_arguments_set_tensor, arguments, "x", &tensor);
    tensor.data = reinterpret_cast<void*>(memory + bytes);
    KERNCAST_CALL(library_, kerncast_arguments_set_tensor, arguments, "y", &tensor);
    KERNCAST_CALL(library_, kerncast_arguments_set_scalar, arguments, "eps", 0.0);
    KERNCAST_CALL(library_, kerncast_run, runtime_, arguments, static_cast<void*>(nullptr));
    kerncast_prepared* prepared = nullptr;
    KERNCAST_CALL(library_, kerncast_prepare, runtime_, arguments, static_cast<const char*>(nullptr),
                  &prepared);
    KERNCAST_CALL(library_, kerncast_prepared_launch, prepared, static_cast<void*>(nullptr));
    library_.symbol<decltype(kerncast_prepared_free)>("kerncast_prepared_free")(prepared);
    library_.symbol<decltype(kerncast_arguments_free)>("kerncast_arguments_free")(arguments);
    check(
        driver<int(void*, std::uint64_t, std::size_t)>("cuMemcpyDtoH")(values.data(), memory + bytes, bytes),
        "cuMemcpyDtoH");
    check(driver<int(std::uint64_t)>("cuMemFree")(memory), "cuMemFree");
    return values[0];
  }

 private:
  static void check(int result, const char* function) {
    if (result != 0) {
      throw std::runtime_error(std::string(function) + " failed: " + std::to_string(result));
    }
  }

  const LoadedLibrary& library_;
  std::string warnings_;
  kerncast_runtime* runtime_ = nullptr;
};
