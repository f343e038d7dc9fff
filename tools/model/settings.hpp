#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kerncast/op.hpp"

namespace kerncast::tools {

/// The op called `name`. Throws UsageError that names the nearest.
[[nodiscard]] const OpDefinition& require_op(const std::string& name);

/// Values given as "name=value", told apart by the op's own names: compile-time parameters and run-time
/// scalars.
struct Settings {
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// Throws UsageError for text that is not name=value, a name the op does not have (listing its names and the
/// nearest), a name given twice, and a value out of its constraint.
[[nodiscard]] Settings parse_settings(const OpDefinition& op, const std::vector<std::string>& texts);

/// specialise() with its complaints as UsageError.
[[nodiscard]] Specialisation specialise_settings(const OpDefinition& op, const Settings& settings);

/// parse_tunables() of texts as "threads=256", with its complaints as UsageError; nothing where there are
/// none.
[[nodiscard]] std::optional<Tunables> parse_tunable_settings(const OpDefinition& op,
                                                             const std::vector<std::string>& texts);

/// "integer from 1 to 65536, a multiple of 8", "one of bf16, f16, f32": the constraint on one parameter.
[[nodiscard]] std::string constraint_text(const ParamSpec& param);

/// Throws UsageError unless `arch` reads as "sm_90a".
void check_arch(const std::string& arch);

}  // namespace kerncast::tools
