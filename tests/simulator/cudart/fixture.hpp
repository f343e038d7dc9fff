#pragma once

#include <dlfcn.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/simulator/cudart/symbols.hpp"
#include "tests/simulator/driver/kernels.hpp"
#include "tests/simulator/fat_binary.hpp"

/// The tests' way to the runtime library: by its symbols, as programs that are linked with it do, and with
/// fat binaries that they register as compiled programs do.
namespace kerncast::tests {

namespace cudart = kerncast::cudart;
using namespace kerncast::cudart;

inline void* find_symbol(const char* name) {
  static void* library = dlopen(KERNCAST_CUDART_LIBRARY, RTLD_NOW);
  void* found = library != nullptr ? dlvsym(library, name, "libcudart.so.13") : nullptr;
  if (found == nullptr) {
    throw std::runtime_error(std::string("no symbol ") + name);
  }
  return found;
}

/// The exported function `name`.
#define RT(name) \
  (reinterpret_cast<decltype(&kerncast::tests::cudart::name)>(kerncast::tests::find_symbol(#name)))
#define REQUIRE_RT(...) REQUIRE((__VA_ARGS__) == kerncast::cudart::cudaSuccess)

/// The struct that the compiler puts around a fat binary.
struct FatWrapper {
  unsigned int magic = 0x466243b1;
  int version = 1;
  const void* data = nullptr;
  const void* name = nullptr;
};

/// A fat binary that is registered as long as this lives, with kernels and variables by their names. Each is
/// named by the address of its own name here, as a program names it by a host function.
class Program {
 public:
  Program(std::string image, std::initializer_list<const char*> kernel_names,
          std::initializer_list<const char*> variable_names = {})
      : image_(std::move(image)) {
    wrapper_.data = image_.data();
    handle_ = RT(__cudaRegisterFatBinary)(&wrapper_);
    for (const char* name : kernel_names) {
      names_.push_back(std::make_unique<std::string>(name));
      std::string& kept = *names_.back();
      RT(__cudaRegisterFunction)(handle_, kept.data(), kept.data(), kept.c_str(), -1, nullptr, nullptr,
                                 nullptr, nullptr, nullptr);
    }
    for (const char* name : variable_names) {
      names_.push_back(std::make_unique<std::string>(name));
      std::string& kept = *names_.back();
      RT(__cudaRegisterVar)(handle_, kept.data(), kept.data(), kept.c_str(), 0, 16, 0, 0);
    }
    RT(__cudaRegisterFatBinaryEnd)(handle_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() { RT(__cudaUnregisterFatBinary)(handle_); }

  /// The host address that stands for a kernel or variable.
  [[nodiscard]] const void* host(std::string_view name) const {
    for (const std::unique_ptr<std::string>& known : names_) {
      if (*known == name) {
        return known->data();
      }
    }
    throw std::runtime_error("the program has no " + std::string(name));
  }

 private:
  std::string image_;
  FatWrapper wrapper_;
  void** handle_ = nullptr;
  std::vector<std::unique_ptr<std::string>> names_;
};

/// The kernels of the driver's tests.
inline const Program& test_program() {
  static const auto& program =
      *new Program(fat_binary({zstd_entry(kernels)}),
                   {"add", "store", "copy", "add_one", "double_it", "dynamic"}, {"counter"});
  return program;
}

/// `count` words of device memory, all `value`.
inline unsigned int* device_words(std::size_t count, unsigned int value) {
  void* made = nullptr;
  REQUIRE_RT(RT(cudaMalloc)(&made, 4 * count));
  const std::vector<unsigned int> words(count, value);
  REQUIRE_RT(RT(cudaMemcpy)(made, words.data(), 4 * count, cudaMemcpyHostToDevice));
  return static_cast<unsigned int*>(made);
}

inline std::vector<unsigned int> read_words(const unsigned int* from, std::size_t count) {
  std::vector<unsigned int> words(count);
  REQUIRE_RT(RT(cudaMemcpy)(words.data(), from, 4 * count, cudaMemcpyDeviceToHost));
  return words;
}

/// Launches add(out, n, value).
inline cudaError_t launch_add(unsigned int* out, unsigned int n, unsigned int value,
                              CUstream stream = nullptr) {
  void* arguments[] = {&out, &n, &value};
  return RT(cudaLaunchKernel)(test_program().host("add"), {(n + 63) / 64, 1, 1}, {64, 1, 1}, arguments, 0,
                              stream);
}

/// A host function that holds a stream up until it is opened.
struct Gate {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_open = false;

  static void wait(void* data) {
    auto& gate = *static_cast<Gate*>(data);
    std::unique_lock lock(gate.mutex);
    gate.changed.wait(lock, [&] { return gate.is_open; });
  }
  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
};

}  // namespace kerncast::tests
