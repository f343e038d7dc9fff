#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kerncast::tools {

/// A variable that the library, the command or the virtual GPU reads.
struct EnvironmentVariable {
  std::string_view name;
  std::string_view help;  ///< one line, for --help and the manual page
  /// The fault of a value, such as "is not an amount"; empty if nothing is. Null if any value will do.
  std::string (*defect)(const std::string& value) = nullptr;
};

/// Every variable, in the order of the help.
[[nodiscard]] const std::vector<EnvironmentVariable>& environment_variables();

/// `value` of the variable `name` for a message. It is *** if it may be a secret: if it is a URL, or the
/// variable is none of Kerncast and may be named KERNCAST_PASSWORD.
[[nodiscard]] std::string shown_value(std::string_view name, const std::string& value);

/// A variable that is set and has a mistake in its name or in its value.
struct VariableMistake {
  std::string problem;
  std::string remedy;
};

/// Examines `environment`, a list of NAME=VALUE, and returns its mistakes: values that their variable does
/// not take, and names that begin with KERNCAST_ and are no variable of Kerncast, with the nearest.
[[nodiscard]] std::vector<VariableMistake> examine_environment(const std::vector<std::string>& environment);

/// The environment of this process as NAME=VALUE. Empty if it is ignored; see environment.hpp.
[[nodiscard]] std::vector<std::string> own_environment();

}  // namespace kerncast::tools
