#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kerncast/op_definition.hpp"

namespace kerncast::tools {

/// The op called `name`, as a whole ("norm.rms_norm") or by the part after the family if no other op has the
/// same. Throws UsageError that names the nearest.
[[nodiscard]] const OpDefinition& require_op(const std::string& name);

/// Values given as "name=value": compile-time parameters and run-time scalars of an op.
struct Settings {
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
};

/// Parses settings of an op. A number for a name that is both a flag and a scalar sets both. Throws
/// UsageError for a text that is not name=value, a name that the op does not have (with its names and the
/// nearest), a name given twice, and a value that violates its constraint.
[[nodiscard]] Settings parse_settings(const OpDefinition& op, const std::vector<std::string>& texts);

/// Calls specialise() and turns its errors into UsageError. An alignment that the settings do not name is the
/// widest that they allow.
[[nodiscard]] Specialisation specialise_settings(const OpDefinition& op, const Settings& settings);

/// Parses tunables such as "threads=256" by parse_tunables(), and turns its errors into UsageError. Empty if
/// `texts` is empty.
[[nodiscard]] std::optional<Tunables> parse_tunable_settings(const OpDefinition& op,
                                                             const std::vector<std::string>& texts);

/// The constraint on a parameter as text, such as "integer from 1 to 65536, a multiple of 8" or "one of bf16,
/// f16".
[[nodiscard]] std::string constraint_text(const ParamSpec& param);

/// Throws UsageError unless `arch` has the form of "sm_90a".
void check_arch(const std::string& arch);

}  // namespace kerncast::tools
