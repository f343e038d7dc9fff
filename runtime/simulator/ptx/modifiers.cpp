#include "runtime/simulator/ptx/modifiers.hpp"

#include <fmt/format.h>

#include "runtime/simulator/machine/machine.hpp"
#include "runtime/simulator/ptx/types.hpp"

namespace kerncast::simulator {

Modifiers::Modifiers(std::string_view opcode, int line) : opcode_(opcode), line_(line) {
  std::size_t dot = opcode.find('.');
  base_ = opcode.substr(0, dot);
  while (dot != std::string_view::npos) {
    const std::size_t start = dot + 1;
    dot = opcode.find('.', start);
    if (count_ == parts_.size()) {
      throw DecodeError(
          fmt::format("PTX line {}: '{}' has more parts than any known instruction", line, opcode), line);
    }
    parts_[count_++] = opcode.substr(start, dot == std::string_view::npos ? dot : dot - start);
  }
}

bool Modifiers::has(std::string_view name) const {
  for (std::size_t i = 0; i < count_; ++i) {
    if (parts_[i] == name) {
      return true;
    }
  }
  return false;
}

bool Modifiers::take(std::string_view name) {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0 && parts_[i] == name) {
      taken_ |= 1U << i;
      return true;
    }
  }
  return false;
}

bool Modifiers::take_prefix(std::string_view prefix) {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0 && parts_[i].starts_with(prefix)) {
      taken_ |= 1U << i;
      return true;
    }
  }
  return false;
}

std::string_view Modifiers::take_next() {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0) {
      taken_ |= 1U << i;
      return parts_[i];
    }
  }
  return {};
}

Type Modifiers::take_type() {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) != 0) {
      continue;
    }
    if (const Type type = type_called(parts_[i]); type != Type::none) {
      taken_ |= 1U << i;
      return type;
    }
  }
  return Type::none;
}

Type Modifiers::need_type() {
  const Type type = take_type();
  if (type == Type::none) {
    throw DecodeError(fmt::format("PTX line {}: '{}' names no type this machine knows", line_, opcode_),
                      line_);
  }
  return type;
}

Rounding Modifiers::take_rounding() {
  static constexpr std::array<std::string_view, 7> names{"rn", "rz", "rm", "rp", "rna", "approx", "full"};
  return static_cast<Rounding>(take_any(names) + 1);
}

void Modifiers::finish() const {
  for (std::size_t i = 0; i < count_; ++i) {
    if ((taken_ >> i & 1U) == 0) {
      throw DecodeError(fmt::format("PTX line {}: '{}': the virtual GPU does not know '.{}' here", line_,
                                    opcode_, parts_[i]),
                        line_);
    }
  }
}

}  // namespace kerncast::simulator
