#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/simulator/machine/program.hpp"

namespace kerncast::simulator {

/// The functions of a module by name, and who may call whom through a pointer.
class FunctionTable {
 public:
  explicit FunctionTable(Program& program) : program_(program) {}

  /// Index of the function called `name` in the program; none if it is not declared yet.
  [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name) const;
  /// The index of a function that may be new.
  std::uint32_t declare(std::string_view name);
  /// The value of a pointer to device function `name`, which any indirect call may call from now on. None if
  /// there is no such function.
  std::optional<std::uint64_t> pointer_to(std::string_view name);
  /// Function `caller` calls through a pointer.
  void note_indirect_call(std::uint32_t caller) { indirect_callers_.push_back(caller); }
  /// Makes every function that a pointer was taken of a callee of all that call through pointers.
  void link_indirect_calls();

 private:
  Program& program_;
  std::unordered_map<std::string_view, std::uint32_t> indexes_;
  std::vector<std::uint32_t> pointed_to_;
  std::vector<std::uint32_t> indirect_callers_;
};

}  // namespace kerncast::simulator
