#pragma once

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace kerncast::conformance {

/// A kernel's argument: a value, or a buffer in device memory that the kernel is given the address of.
struct Argument {
  std::vector<std::byte> bytes;
  bool buffer = false;
};

template <class T>
Argument buffer_argument(const std::vector<T>& values) {
  Argument argument{std::vector<std::byte>(values.size() * sizeof(T)), true};
  std::memcpy(argument.bytes.data(), values.data(), argument.bytes.size());
  return argument;
}

template <class T>
Argument value_argument(const T& value) {
  Argument argument{std::vector<std::byte>(sizeof(T)), false};
  std::memcpy(argument.bytes.data(), &value, sizeof(T));
  return argument;
}

/// The target does not take the text at all.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Forms run in the virtual GPU's executor; where KERNCAST_CONFORMANCE_DRIVER names a driver, as
/// KERNCAST_DRIVER does, they run through it on its first device instead, which shows what hardware does.
bool runs_on_driver();

/// The compute capability that forms meant for `sm` are written for: that of the driver's device, if one is
/// used.
int target_sm(int sm);

/// Runs kernel `k` of the module `text` and returns buffer `result` as the kernel left it. Throws Refused if
/// the module does not load, and std::runtime_error if the kernel fails.
std::vector<std::byte> run_kernel(const std::string& text, int sm, unsigned blocks, unsigned threads,
                                  const std::vector<Argument>& arguments, std::size_t result);

template <class T>
std::vector<T> words(const std::vector<std::byte>& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

}  // namespace kerncast::conformance
