#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/tunables/launch_defect.hpp"

namespace kerncast {
namespace {

constexpr std::size_t most_points = 1'000'000;

/// The first multiple of `step` that is not below `minimum`.
std::int64_t first_multiple(std::int64_t minimum, std::int64_t step) {
  const std::int64_t below = minimum / step * step;
  return below < minimum ? below + step : below;
}

}  // namespace

std::string format_values(const TunableSpec& tunable) {
  if (!tunable.choices.empty()) {
    return fmt::format("one of {}", fmt::join(tunable.choices, ", "));
  }
  std::string text = fmt::format("from {} to {}", tunable.minimum, tunable.maximum);
  if (tunable.multiple_of > 1) {
    text += fmt::format(" and a multiple of {}", tunable.multiple_of);
  }
  return text;
}

std::vector<std::int32_t> tunable_values(const TunableSpec& tunable) {
  if (!tunable.choices.empty()) {
    return tunable.choices;
  }
  const std::int64_t step = std::max(1, tunable.multiple_of);
  const std::int64_t first = first_multiple(tunable.minimum, step);
  if (first > tunable.maximum) {
    return {};
  }
  if ((tunable.maximum - first) / step >= static_cast<std::int64_t>(most_points)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("tunable {} has more than {} values; give it a larger multiple_of", tunable.name,
                            most_points));
  }
  std::vector<std::int32_t> values;
  for (std::int64_t value = first; value <= tunable.maximum; value += step) {
    values.push_back(static_cast<std::int32_t>(value));
  }
  return values;
}

std::vector<Tunables> all_tunables(const OpDefinition& op) {
  std::vector<Tunables> all(1);
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    const std::vector<std::int32_t> values = tunable_values(op.tunables[i]);
    if (all.size() * values.size() > most_points) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{}: its tunables have more than {} combinations; give them fewer values",
                              op.name, most_points));
    }
    std::vector<Tunables> longer;
    longer.reserve(all.size() * values.size());
    for (const Tunables& made : all) {
      for (const std::int32_t value : values) {
        longer.push_back(made);
        longer.back().values[i] = value;
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::vector<Tunables> all_tunables(const OpDefinition& op, const Specialisation& spec,
                                   const DeviceTraits& traits, std::int64_t rows) {
  const std::string arch = fmt::format("sm_{}", traits.sm);
  std::vector<Tunables> all = all_tunables(op);
  std::erase_if(all, [&](const Tunables& tunables) {
    return !launch_defect(op, spec, tunables, traits, arch, rows).empty();
  });
  return all;
}

}  // namespace kerncast
