#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "kerncast/op_definition.hpp"
#include "runtime/util/nearest_name.hpp"

namespace kerncast {
namespace {

[[noreturn]] void refuse(const OpDefinition& op, const TunableSpec& tunable, std::string_view got,
                         const std::string& nearest) {
  throw Error(
      ErrorCode::invalid_argument,
      fmt::format("{}: tunable {} = {} must be {}{}", op.name, tunable.name, got, format_values(tunable),
                  nearest.empty() ? std::string() : fmt::format("; nearest valid: {}", nearest)));
}

bool is_valid(const TunableSpec& tunable, std::int32_t value) {
  if (!tunable.choices.empty()) {
    return std::find(tunable.choices.begin(), tunable.choices.end(), value) != tunable.choices.end();
  }
  return value >= tunable.minimum && value <= tunable.maximum &&
         value % std::max(1, tunable.multiple_of) == 0;
}

/// The valid value nearest to `value`, as text. Empty if there is none.
std::string nearest_value(const TunableSpec& tunable, std::int64_t value) {
  const std::vector<std::int32_t> values = tunable_values(tunable);
  const auto nearest = std::min_element(values.begin(), values.end(), [&](std::int64_t a, std::int64_t b) {
    return std::llabs(a - value) < std::llabs(b - value);
  });
  return nearest == values.end() ? std::string() : fmt::format("{}", *nearest);
}

std::vector<std::string> tunable_names(const OpDefinition& op) {
  std::vector<std::string> names;
  names.reserve(op.tunables.size());
  for (const TunableSpec& tunable : op.tunables) {
    names.push_back(tunable.name);
  }
  return names;
}

}  // namespace

void check_tunables(const OpDefinition& op, const Tunables& tunables) {
  for (std::size_t i = 0; i < op.tunables.size(); ++i) {
    if (!is_valid(op.tunables[i], tunables[i])) {
      refuse(op, op.tunables[i], fmt::format("{}", tunables[i]), nearest_value(op.tunables[i], tunables[i]));
    }
  }
}

Tunables parse_tunables(const OpDefinition& op,
                        const std::vector<std::pair<std::string, std::string>>& settings) {
  Tunables tunables;
  std::vector<bool> given(op.tunables.size(), false);
  for (const auto& setting : settings) {
    const auto& [name, text] = setting;
    const auto found =
        std::find_if(op.tunables.begin(), op.tunables.end(),
                     [&setting](const TunableSpec& spec) { return spec.name == setting.first; });
    if (found == op.tunables.end()) {
      const std::vector<std::string> names = tunable_names(op);
      const std::string nearest = nearest_name(name, names);
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{}: no tunable '{}'{}; it has {}", op.name, name,
                              nearest.empty() ? std::string() : fmt::format(" (did you mean {}?)", nearest),
                              fmt::join(names, ", ")));
    }
    const auto index = static_cast<std::size_t>(found - op.tunables.begin());
    if (given[index]) {
      throw Error(ErrorCode::invalid_argument, fmt::format("{}: tunable {} is given twice", op.name, name));
    }
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, tunables.values[index]);
    if (error != std::errc() || stop != end) {
      refuse(op, *found, fmt::format("'{}'", text), {});
    }
    given[index] = true;
  }
  if (const auto missing = std::find(given.begin(), given.end(), false); missing != given.end()) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: tunable {} is not given; all of {} must be", op.name,
                            op.tunables[static_cast<std::size_t>(missing - given.begin())].name,
                            fmt::join(tunable_names(op), ", ")));
  }
  check_tunables(op, tunables);
  return tunables;
}

}  // namespace kerncast
