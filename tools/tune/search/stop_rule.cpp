#include "tools/tune/search/stop_rule.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/util/nearest_name.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

class TimeRule final : public StopRule {
 public:
  explicit TimeRule(double value) : StopRule(value) {}

 private:
  std::string check(const SearchProgress& progress) const override {
    return progress.seconds >= value() ? fmt::format("{} s are over", value()) : std::string();
  }
};

class TrialsRule final : public StopRule {
 public:
  explicit TrialsRule(double value) : StopRule(value) {}

 private:
  std::string check(const SearchProgress& progress) const override {
    return static_cast<double>(progress.trials) >= value() ? fmt::format("{} trials are made", value())
                                                           : std::string();
  }
};

class PatienceRule final : public StopRule {
 public:
  explicit PatienceRule(double value) : StopRule(value) {}

 private:
  std::string check(const SearchProgress& progress) const override {
    return static_cast<double>(progress.since_best) >= value()
               ? fmt::format("{} trials in a row were not quicker", value())
               : std::string();
  }
};

class BoundRule final : public StopRule {
 public:
  explicit BoundRule(double value) : StopRule(value) {}

 private:
  std::string check(const SearchProgress& progress) const override {
    const bool near = progress.best_us > 0 && progress.bound_us > 0 &&
                      progress.best_us <= progress.bound_us * (1 + value() / 100);
    return near ? fmt::format("within {} % of the bound", value()) : std::string();
  }
};

template <class Rule>
std::unique_ptr<StopRule> make_rule(double value) {
  return std::make_unique<Rule>(value);
}

}  // namespace

std::string StopRule::reached(const SearchProgress& progress) const {
  // Without the default there is nothing to compare with.
  return progress.trials == 0 ? std::string() : check(progress);
}

const std::vector<StopRuleInfo>& stop_rules() {
  static const std::vector<StopRuleInfo> all = {
      {"seconds of one search",
       {"time", 60, 0.001, 1e7, "a minute is enough for a few hundred trials of a kernel of microseconds"},
       make_rule<TimeRule>},
      {"candidates tried", {"trials", 200, 1, 1e7, "more than most ops have"}, make_rule<TrialsRule>},
      {"trials in a row that were not clearly quicker",
       {"patience", 30, 1, 1e7, "a guided search that has not improved for so long rarely does"},
       make_rule<PatienceRule>},
      {"percent above the least time that the memory allows",
       {"bound", 5, 0, 1000, "what is left could hardly be measured"},
       make_rule<BoundRule>},
  };
  return all;
}

StopRules::StopRules(const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const auto found = std::find_if(stop_rules().begin(), stop_rules().end(),
                                    [&](const StopRuleInfo& info) { return info.value.name == name; });
    if (found == stop_rules().end()) {
      std::vector<std::string> names;
      for (const StopRuleInfo& info : stop_rules()) {
        names.push_back(info.value.name);
      }
      const std::string nearest = nearest_name(name, names);
      throw UsageError(fmt::format("--stop {}: there is no such rule{}", name.substr(0, 40),
                                   nearest.empty() ? fmt::format("; there are {}", fmt::join(names, ", "))
                                                   : fmt::format(" (did you mean {}?)", nearest)));
    }
    const double value = equals == std::string::npos ? found->value.value
                                                     : parse_parameter(fmt::format("--stop {}:", name),
                                                                       found->value, text.substr(equals + 1));
    rules_.push_back(found->make(value));
    text_ += fmt::format("{}{}={}", text_.empty() ? "" : " ", name, value);
  }
}

std::string StopRules::reached(const SearchProgress& progress) const {
  for (const auto& rule : rules_) {
    if (std::string reason = rule->reached(progress); !reason.empty()) {
      return reason;
    }
  }
  return {};
}

}  // namespace kerncast::tools
