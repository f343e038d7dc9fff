#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "tools/tune/search/parameters.hpp"

namespace kerncast::tools {

/// The progress of the search of one point.
struct SearchProgress {
  double seconds = 0;          ///< since its first trial that was not stored before
  std::size_t trials = 0;      ///< candidates that were tried, those stored before included
  std::size_t since_best = 0;  ///< trials since the last that was clearly quicker than all before
  double best_us = 0;          ///< 0 if nothing was timed yet
  double bound_us = 0;         ///< the least time that the memory of the device allows; 0 if unknown
};

/// Says when a search has done enough. Several rules compose: the first that is reached ends the search.
class StopRule {
 public:
  virtual ~StopRule() = default;
  StopRule(const StopRule&) = delete;
  StopRule& operator=(const StopRule&) = delete;

  /// The reason why the search ends, in words; empty while it goes on.
  [[nodiscard]] std::string reached(const SearchProgress& progress) const;

 protected:
  explicit StopRule(double value) : value_(value) {}
  [[nodiscard]] double value() const { return value_; }

 private:
  virtual std::string check(const SearchProgress& progress) const = 0;

  double value_;
};

/// A stop rule that a user can name, with its one value.
struct StopRuleInfo {
  std::string summary;
  ParameterInfo value;  ///< its name is the rule's
  std::unique_ptr<StopRule> (*make)(double value) = nullptr;
};

/// All stop rules, in the order in which the help lists them.
[[nodiscard]] const std::vector<StopRuleInfo>& stop_rules();

/// The rules of one search.
class StopRules {
 public:
  StopRules() = default;
  /// Parses texts such as "trials=100" or "bound=5"; a name alone takes the rule's default. Throws
  /// UsageError.
  explicit StopRules(const std::vector<std::string>& texts);

  [[nodiscard]] std::string reached(const SearchProgress& progress) const;
  /// The rules as a user writes them, such as "trials=100 patience=30".
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::vector<std::unique_ptr<StopRule>> rules_;
  std::string text_;
};

/// A trial counts as clearly quicker than those before if it saves at least this part of their time.
constexpr double clear_gain = 0.005;

}  // namespace kerncast::tools
