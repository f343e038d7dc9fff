#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast::tools {

/// A parameter of a strategy or of a stop rule.
struct ParameterInfo {
  std::string name;
  double value = 0;  ///< the default
  double least = 0;
  double most = 0;
  std::string reason;  ///< what it does, and why the default is what it is
};

/// Values of the parameters of one strategy or stop rule.
class Parameters {
 public:
  explicit Parameters(const std::vector<ParameterInfo>& infos);
  /// Sets a value from text. `owner` names the strategy in errors. Throws UsageError for a name that does not
  /// exist, with the nearest, and for a value that is no number or out of its bounds.
  void set(const std::string& owner, const std::string& name, const std::string& text);
  /// Throws std::logic_error if there is no such parameter.
  [[nodiscard]] double operator[](std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;

 private:
  std::vector<ParameterInfo> infos_;
};

/// A number in `text`, which ends after it. Throws UsageError, which begins with `what`, otherwise or if it
/// is not within the bounds of `info`.
[[nodiscard]] double parse_parameter(const std::string& what, const ParameterInfo& info,
                                     const std::string& text);

}  // namespace kerncast::tools
