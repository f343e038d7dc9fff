#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kerncast::simulator {

class Modifiers;

/// The .target and .version that a module declares.
struct ModuleTarget {
  int sm = 0;                     ///< 90 of sm_90a
  char suffix = 0;                ///< 'a' of sm_90a, 'f' of sm_100f, or 0
  int version = 0;                ///< 86 of .version 8.6
  std::string_view name;          ///< sm_90a
  std::string_view version_text;  ///< 8.6
};

/// The demands of a form of instruction, or of a directive, on its module.
struct Requirement {
  /// Targets that have it, of those from `sm` on.
  enum class Targets : std::uint8_t {
    all,
    specific,  ///< those with a suffix, as sm_90a and sm_100f
    only,      ///< the one of `sm` with the suffix a
    family     ///< those with a suffix in the family of `sm`, as sm_103a for 100
  };
  int sm = 0;       ///< 0: any
  int version = 0;  ///< 0: any
  Targets targets = Targets::all;
};

/// Says what `target` lacks of `needed`, as "needs ..."; empty if it lacks nothing.
std::string lacking(const Requirement& needed, const ModuleTarget& target);

/// Says what `target` lacks for the instruction, as its opcode says it; empty if it lacks nothing.
std::string lacking(const Modifiers& mods, const ModuleTarget& target);

/// The .version that .target `sm` with `suffix` needs: 0 for a target that this machine does not know, none
/// if that architecture has no such suffix.
std::optional<int> version_of_target(int sm, char suffix);

}  // namespace kerncast::simulator
