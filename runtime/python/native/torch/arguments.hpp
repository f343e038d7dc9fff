#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/python/native/torch/shim.hpp"

namespace kerncast::python {

/// An argument of an operator's schema.
struct TorchArgument {
  enum class Kind : std::uint8_t { tensor, real, integer, boolean, text, dtype };
  std::string name;
  Kind kind = Kind::tensor;
  bool optional = false;
};

/// The arguments of one call. They are owned by the callee and released with this object.
class TorchArguments {
 public:
  static constexpr std::size_t capacity = 64;

  /// `stack` has a value for each of `schema`, of which there are at most `capacity`.
  TorchArguments(const TorchShim& torch, const std::vector<TorchArgument>& schema,
                 const TorchShim::Value* stack);
  ~TorchArguments();
  TorchArguments(const TorchArguments&) = delete;
  TorchArguments& operator=(const TorchArguments&) = delete;

  /// False for an optional argument that is None.
  [[nodiscard]] bool given(std::size_t i) const noexcept { return given_[i]; }
  /// The value of an argument that is given and has the kind that is asked for.
  [[nodiscard]] TorchShim::Tensor tensor(std::size_t i) const noexcept;
  [[nodiscard]] double real(std::size_t i) const noexcept;
  [[nodiscard]] std::int64_t integer(std::size_t i) const noexcept;
  [[nodiscard]] bool boolean(std::size_t i) const noexcept;
  [[nodiscard]] std::string text(std::size_t i) const;
  /// Torch's number of a dtype.
  [[nodiscard]] std::int32_t dtype(std::size_t i) const noexcept;

 private:
  const TorchShim& torch_;
  const std::vector<TorchArgument>& schema_;
  std::array<TorchShim::Value, capacity> values_;
  std::array<bool, capacity> given_;
};

}  // namespace kerncast::python
