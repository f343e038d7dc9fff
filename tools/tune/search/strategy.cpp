#include "tools/tune/search/strategy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "runtime/util/nearest_name.hpp"
#include "runtime/util/split.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/tune/search/neighbours.hpp"
#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {

std::vector<std::size_t> Strategy::next(std::size_t most) {
  std::vector<std::size_t> chosen;
  const auto take = [&](std::size_t index) {
    if (chosen.size() < most && given_[index] == 0) {
      given_[index] = 1;
      ++given_count_;
      chosen.push_back(index);
    }
  };
  if (given_count_ == 0 && space_->size() > 0) {
    take(space_->first);
    return chosen;
  }
  while (chosen.empty() && given_count_ < space_->size()) {
    const std::vector<std::size_t> wishes = wish(most);
    if (wishes.empty()) {
      break;
    }
    for (const std::size_t index : wishes) {
      take(index);
    }
  }
  return chosen;
}

void Strategy::tell(std::size_t index, double time) {
  told_[index] = time;
  if (!any_told_ || time < told_[best_]) {
    best_ = index;
    any_told_ = true;
  }
  learn(index, time);
}

std::vector<std::size_t> Strategy::foresee(std::size_t most) const {
  std::vector<std::size_t> soon = outlook();
  std::erase_if(soon, [&](std::size_t index) { return given_[index] != 0; });
  soon.resize(std::min(soon.size(), most));
  return soon;
}

std::vector<std::size_t> Strategy::outlook() const {
  return neighbours_of(*space_, best_);
}

void Strategy::learn(std::size_t /*index*/, double /*time*/) {}

const std::vector<StrategyInfo>& strategies() {
  static const std::vector<StrategyInfo> all = {guided_strategy(),  exhaustive_strategy(),
                                                random_strategy(),  model_strategy(),
                                                descent_strategy(), annealing_strategy()};
  return all;
}

StrategyChoice parse_strategy(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  std::vector<std::string> names;
  for (const StrategyInfo& info : strategies()) {
    names.push_back(info.name);
    if (info.name != name) {
      continue;
    }
    StrategyChoice choice{&info, Parameters(info.parameters)};
    for (const std::string& setting :
         non_empty_parts(colon == std::string::npos ? std::string() : text.substr(colon + 1), ',')) {
      const std::size_t equals = setting.find('=');
      choice.parameters.set("--strategy " + name, setting.substr(0, equals),
                            equals == std::string::npos ? std::string() : setting.substr(equals + 1));
    }
    return choice;
  }
  const std::string nearest = nearest_name(name, names);
  throw UsageError(fmt::format("--strategy {}: there is no such strategy{}", name.substr(0, 40),
                               nearest.empty() ? fmt::format("; there are {}", fmt::join(names, ", "))
                                               : fmt::format(" (did you mean {}?)", nearest)));
}

}  // namespace kerncast::tools
