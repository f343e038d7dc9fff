#include "tools/tune/trials/trial.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace kerncast::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<Outcome, std::string_view> outcome_names[] = {
    {Outcome::timed, "timed"},
    {Outcome::does_not_compile, "does not compile"},
    {Outcome::spills, "spills"},
    {Outcome::low_occupancy, "low occupancy"},
    {Outcome::wrong_result, "wrong result"},
    {Outcome::failed, "failed"},
    {Outcome::timed_out, "timed out"},
    {Outcome::not_held, "does not hold"},
};

bool are_times(const std::vector<double>& samples) {
  return std::all_of(samples.begin(), samples.end(),
                     [](double sample) { return std::isfinite(sample) && sample > 0; });
}

}  // namespace

std::string_view name_of(Outcome outcome) {
  for (const auto& [value, name] : outcome_names) {
    if (value == outcome) {
      return name;
    }
  }
  return {};
}

std::optional<Outcome> outcome_called(std::string_view name) {
  for (const auto& [value, known] : outcome_names) {
    if (known == name) {
      return value;
    }
  }
  return std::nullopt;
}

double Trial::relative_time() const {
  if (!timed()) {
    return std::numeric_limits<double>::infinity();
  }
  return default_us.empty() ? 1 : 1 - compare(default_us, samples_us).gain;
}

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string format_trial(const Trial& trial) {
  Json json = {{"tunables", trial.tunables}, {"outcome", name_of(trial.outcome)}};
  if (!trial.why.empty()) {
    json["why"] = trial.why;
  }
  if (!trial.samples_us.empty()) {
    json["us"] = trial.samples_us;
  }
  if (!trial.default_us.empty()) {
    json["default_us"] = trial.default_us;
  }
  if (trial.is_final) {
    json["final"] = true;
  }
  json["registers"] = trial.registers;
  json["spill_bytes"] = trial.spill_bytes;
  json["at_us"] = trial.at_us;
  json["took_ms"] = trial.took_ms;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Trial> parse_trial(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    Trial trial;
    trial.tunables = json.at("tunables").get<std::string>();
    const std::optional<Outcome> outcome = outcome_called(json.at("outcome").get<std::string>());
    if (!outcome) {
      return std::nullopt;
    }
    trial.outcome = *outcome;
    trial.why = json.value("why", std::string());
    trial.samples_us = json.value("us", std::vector<double>());
    trial.default_us = json.value("default_us", std::vector<double>());
    trial.is_final = json.value("final", false);
    trial.registers = json.at("registers").get<int>();
    trial.spill_bytes = json.at("spill_bytes").get<int>();
    trial.at_us = json.at("at_us").get<std::int64_t>();
    trial.took_ms = json.at("took_ms").get<double>();
    if (!are_times(trial.samples_us) || !are_times(trial.default_us)) {
      return std::nullopt;
    }
    return trial;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace kerncast::tools
