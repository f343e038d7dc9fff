#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/simulator/ptx/operand.hpp"

namespace kerncast::simulator {

/// The meaning of the words of a module: variables, the registers of the function being decoded, and special
/// registers. The innermost block's declaration of a word holds.
class Names {
 public:
  /// The number of declarations; a block's end forgets those made since its beginning.
  struct Mark {
    std::size_t registers = 0;
    std::size_t variables = 0;
  };

  /// Forgets the registers and variables of the function before.
  void begin_function();
  [[nodiscard]] Mark mark() const { return {registers_.size(), locals_.size()}; }
  void forget_since(Mark mark);

  /// `count` registers called `name` and a number, or one called `name` if `count` is 0. Their virtual
  /// registers start at `first`.
  void declare_registers(std::string_view name, std::uint32_t count, Type type, std::uint32_t first);
  void declare_variable(std::string_view name, const Variable& variable, bool in_function);
  /// Null if there is no such variable.
  [[nodiscard]] const Variable* find_variable(std::string_view name) const;
  /// Says what the word `scalar.text` stands for. The kind stays `name` if nothing here is called that.
  void resolve(Scalar& scalar) const;

 private:
  struct Registers {
    std::string_view name;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint8_t bytes = 0;
    Type type = Type::none;
  };

  bool resolve_register(Scalar& scalar) const;

  std::unordered_map<std::string_view, Variable> globals_;
  std::vector<std::pair<std::string_view, Variable*>> locals_;
  std::vector<std::unique_ptr<Variable>> local_storage_;
  std::vector<Registers> registers_;
};

/// Bytes that a register declared with `type` takes: 0 for a predicate, at least 2 for others.
unsigned register_bytes(Type type);

}  // namespace kerncast::simulator
