#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "kerncast/launch.hpp"
#include "tests/templates/definition_checks.hpp"

/// Parts that the tests of definitions share: memory for calls that are bound and never launched, the error
/// of a call, and parameters and tunables by name.
namespace kerncast::test {

/// Addresses that nothing touches. Every use gives another one, aligned to 256 bytes and far from the others,
/// so that tensors of a call lie apart however large they are.
class UntouchedMemory {
 public:
  operator void*() const { return *this + 0; }  // NOLINT(google-explicit-constructor): stands for a pointer
  void* operator+(std::uintptr_t bytes) const { return reinterpret_cast<void*>((next_++ << 42U) + bytes); }

 private:
  static inline std::uintptr_t next_ = 1;
};
inline constexpr UntouchedMemory memory;

/// The message of the error that binding `arguments` gives; fails the test if it gives none.
template <TypedCall Arguments>
[[nodiscard]] std::string error_of(const Arguments& arguments) {
  return message_of([&] { static_cast<void>(bind(arguments)); });
}

/// The specialisation that `arguments` select, as a user writes it.
template <TypedCall Arguments>
[[nodiscard]] std::string spec_of(const Arguments& arguments) {
  return format_specialisation(definition_of<Arguments>(), bind(arguments).spec);
}

/// The value of the parameter called `name` in `spec`.
[[nodiscard]] inline std::int32_t param_of(const OpDefinition& op, const Specialisation& spec,
                                           std::string_view name) {
  const int index = find_param(op, name);
  REQUIRE(index >= 0);
  return spec[static_cast<std::size_t>(index)];
}

/// The value of the parameter called `name` that `arguments` select.
template <TypedCall Arguments>
[[nodiscard]] std::int32_t param_of(const Arguments& arguments, std::string_view name) {
  return param_of(definition_of<Arguments>(), bind(arguments).spec, name);
}

/// The value of the tunable called `name`.
[[nodiscard]] inline std::int32_t tunable_of(const OpDefinition& op, const Tunables& tunables,
                                             std::string_view name) {
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    if (op.tunables[i].name == name) {
      return tunables[i];
    }
  }
  FAIL("no tunable " << name);
  return 0;
}

}  // namespace kerncast::test
