#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/simulator/machine/instruction.hpp"

namespace kerncast::simulator {

/// The dot-separated parts of an opcode. The decoder of an instruction must take every part, so that no part
/// is skipped unseen.
class Modifiers {
 public:
  Modifiers() = default;
  Modifiers(std::string_view opcode, int line);

  [[nodiscard]] std::string_view base() const { return base_; }
  /// True if `name` is a part, taken or not.
  [[nodiscard]] bool has(std::string_view name) const;
  /// The last part; empty if the opcode has no parts.
  [[nodiscard]] std::string_view last() const {
    return count_ == 0 ? std::string_view{} : parts_[count_ - 1];
  }
  /// Takes the part `name`, at any position. False if there is no such part left.
  bool take(std::string_view name);
  /// Takes the first of `names` that is present and returns its index, or -1.
  template <std::size_t N>
  int take_any(const std::array<std::string_view, N>& names) {
    for (std::size_t i = 0; i < N; ++i) {
      if (take(names[i])) {
        return static_cast<int>(i);
      }
    }
    return -1;
  }
  /// Takes the first type that is not yet taken; Type::none if there is none.
  Type take_type();
  /// Takes the first type that is not yet taken. Throws DecodeError if there is none.
  Type need_type();
  Rounding take_rounding();
  /// Takes the first part that starts with `prefix` and is not yet taken. False if there is none.
  bool take_prefix(std::string_view prefix);
  /// Takes the first part that is not yet taken; empty if there is none.
  std::string_view take_next();
  /// Throws DecodeError if a part was not taken.
  void finish() const;
  [[nodiscard]] std::string_view opcode() const { return opcode_; }

 private:
  std::string_view opcode_;
  std::string_view base_;
  std::array<std::string_view, 16> parts_;
  std::size_t count_ = 0;
  std::uint32_t taken_ = 0;
  int line_ = 0;
};

}  // namespace kerncast::simulator
