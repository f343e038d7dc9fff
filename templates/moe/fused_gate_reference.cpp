#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "templates/moe/fused_gate_params.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::ops {
namespace {

namespace params = moe::fused_gate_params;

/// Values that decide a choice may be mistaken for each other within this part of the larger.
constexpr double near_part = 1e-6;

struct Expert {
  double score = 0;   ///< sigmoid
  double choice = 0;  ///< score + bias
  double scale = 0;   ///< magnitude whose rounding error the choice inherits
};

struct Settings {
  std::size_t groups;
  std::size_t kept;
  std::size_t routed;
  std::size_t slots;
  bool renormalize;
  bool scaled;
  double factor;
};

/// NaN is below everything.
bool above(double a, double b) {
  return std::isnan(b) ? !std::isnan(a) : a > b;
}

bool same(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

/// Different, but by so little that f32 may order them the other way.
bool confusable(double a, double b, double scale) {
  return !same(a, b) && std::fabs(a - b) < near_part * std::max({std::fabs(a), std::fabs(b), scale});
}

std::vector<std::size_t> by_value(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return above(values[a], values[b]); });
  return order;
}

class Token {
 public:
  Token(std::vector<Expert> experts, const Settings& settings)
      : experts_(std::move(experts)), settings_(settings) {
    const std::size_t size = experts_.size() / settings_.groups;
    for (std::size_t group = 0; group < settings_.groups; ++group) {
      std::vector<double> choices;
      for (std::size_t i = group * size; i < (group + 1) * size; ++i) {
        choices.push_back(std::isnan(experts_[i].choice) ? -std::numeric_limits<double>::infinity()
                                                         : experts_[i].choice);
        group_scale_.resize(group + 1);
        group_scale_[group] = std::max(group_scale_[group], experts_[i].scale);
      }
      std::sort(choices.rbegin(), choices.rend());
      group_scores_.push_back(size > 1 ? choices[0] + choices[1] : choices[0]);
    }
    const std::vector<std::size_t> order = by_value(group_scores_);
    kept_.assign(settings_.groups, false);
    for (std::size_t i = 0; i < settings_.kept; ++i) {
      kept_[order[i]] = true;
    }
    last_kept_ = order[settings_.kept - 1];
  }

  /// Accepts a group that f32 may have kept in the place of the last kept one.
  bool adopt(std::size_t expert) {
    const std::size_t group = expert / (experts_.size() / settings_.groups);
    if (kept_[group]) {
      return true;
    }
    if (!confusable(group_scores_[group], group_scores_[last_kept_],
                    std::max(group_scale_[group], group_scale_[last_kept_]))) {
      return false;
    }
    kept_[group] = true;
    kept_[last_kept_] = false;
    return true;
  }

  [[nodiscard]] std::vector<std::size_t> wanted() const {
    std::vector<double> choices;
    std::vector<std::size_t> ids;
    const std::size_t size = experts_.size() / settings_.groups;
    for (std::size_t i = 0; i < experts_.size(); ++i) {
      if (kept_[i / size]) {
        choices.push_back(experts_[i].choice);
        ids.push_back(i);
      }
    }
    std::vector<std::size_t> chosen;
    for (const std::size_t place : by_value(choices)) {
      if (chosen.size() == settings_.routed) {
        break;
      }
      chosen.push_back(ids[place]);
    }
    return chosen;
  }

  [[nodiscard]] bool interchangeable(std::size_t a, std::size_t b) const {
    return confusable(experts_[a].choice, experts_[b].choice, std::max(experts_[a].scale, experts_[b].scale));
  }

  [[nodiscard]] const Expert& operator[](std::size_t i) const { return experts_[i]; }
  [[nodiscard]] std::size_t size() const { return experts_.size(); }

 private:
  std::vector<Expert> experts_;
  const Settings& settings_;
  std::vector<double> group_scores_;
  std::vector<double> group_scale_;
  std::vector<bool> kept_;
  std::size_t last_kept_ = 0;
};

/// The routed ids of one token; empty when they break a rule, which is then recorded.
std::vector<std::size_t> check_ids(reference::Verdict& verdict, const reference::HostRows& ids,
                                   std::int64_t row, Token& token, const Settings& settings) {
  std::vector<std::size_t> got;
  for (std::size_t k = 0; k < settings.slots; ++k) {
    const auto column = static_cast<std::int64_t>(k);
    const double id = ids(row, column);
    if (k >= settings.routed) {
      const auto shared = static_cast<double>(token.size() + k - settings.routed);
      if (id != shared) {
        verdict.fail("ids", row, column, fmt::format("is {}, expected the shared expert {}", id, shared));
        return {};
      }
      continue;
    }
    if (id < 0 || id >= static_cast<double>(token.size())) {
      verdict.fail("ids", row, column, fmt::format("is {}, out of range for {} experts", id, token.size()));
      return {};
    }
    const auto expert = static_cast<std::size_t>(id);
    if (std::find(got.begin(), got.end(), expert) != got.end()) {
      verdict.fail("ids", row, column, fmt::format("is {} a second time", expert));
      return {};
    }
    if (!token.adopt(expert)) {
      verdict.fail("ids", row, column, fmt::format("is {}, of a group that is not kept", expert));
      return {};
    }
    got.push_back(expert);
  }
  const std::vector<std::size_t> want = token.wanted();
  for (std::size_t k = 0; k < settings.routed; ++k) {
    if (got[k] != want[k] && !token.interchangeable(got[k], want[k])) {
      verdict.fail("ids", row, static_cast<std::int64_t>(k),
                   fmt::format("is {} (score + bias {:.9g}), expected {} ({:.9g})", got[k],
                               token[got[k]].choice, want[k], token[want[k]].choice));
      return {};
    }
  }
  return got;
}

void check_weights(reference::Verdict& verdict, const reference::HostRows& weights, std::int64_t row,
                   const Token& token, const std::vector<std::size_t>& ids, const Settings& settings) {
  double sum = 0;
  for (const std::size_t id : ids) {
    sum += token[id].score;
  }
  for (std::size_t k = 0; k < settings.slots; ++k) {
    double want = 0;
    if (k < settings.routed) {
      want = settings.renormalize ? (sum == 0 ? 0.0 : token[ids[k]].score / sum) : token[ids[k]].score;
    } else {
      want = (settings.renormalize && sum != 0 ? 1.0 : sum) / settings.factor;
    }
    want *= settings.scaled ? settings.factor : 1.0;
    // Scores below 2^-126 are whole steps of 2^-149 in f32.
    const double slack = 0x1p-148 * static_cast<double>(settings.routed) * std::max(1.0, settings.factor) *
                         (settings.renormalize && sum > 0 ? 1.0 / sum : 1.0);
    const double got = weights(row, static_cast<std::int64_t>(k));
    const bool subnormal = std::isfinite(want) && std::fabs(got - want) <= slack;
    if (!subnormal) {
      verdict.compare("weights", row, static_cast<std::int64_t>(k), DType::f32, got, want, 1);
    }
  }
}

}  // namespace

ReferenceResult moe_fused_gate_reference(const ReferenceInput& input);

ReferenceResult moe_fused_gate_reference(const ReferenceInput& input) {
  const reference::HostRows logits(reference::require(input, "logits"));
  const reference::HostRows bias(reference::require(input, "bias"));
  const reference::HostRows weights(reference::require(input, "weights"));
  const reference::HostRows ids(reference::require(input, "ids"));
  Settings settings{};
  settings.groups = static_cast<std::size_t>(input.spec[params::groups]);
  settings.kept = static_cast<std::size_t>(input.spec[params::topk_group]);
  settings.slots = static_cast<std::size_t>(input.spec[params::top_k]);
  settings.routed = settings.slots - static_cast<std::size_t>(input.spec[params::num_fused_shared_experts]);
  settings.renormalize = input.spec[params::renormalize] != 0;
  settings.scaled = input.spec[params::apply_scale_on_output] != 0;
  settings.factor = static_cast<float>(input.scalar("routed_scaling_factor", 1.0));

  reference::Verdict verdict;
  const auto slots = static_cast<std::int64_t>(settings.slots);
  if (weights.rows() != logits.rows() || ids.rows() != logits.rows() || weights.width() != slots ||
      ids.width() != slots || bias.width() != logits.width()) {
    verdict.fail("weights, ids", 0, 0, "have another shape than logits and top_k ask for");
    return verdict.result();
  }
  for (std::int64_t row = 0; row < logits.rows(); ++row) {
    std::vector<Expert> experts;
    for (std::int64_t i = 0; i < logits.width(); ++i) {
      const double score = 1.0 / (1.0 + std::exp(-logits(row, i)));
      experts.push_back({score, score + bias(0, i), std::max(score, std::fabs(bias(0, i)))});
    }
    Token token(std::move(experts), settings);
    const std::vector<std::size_t> got = check_ids(verdict, ids, row, token, settings);
    if (!got.empty()) {
      check_weights(verdict, weights, row, token, got, settings);
    }
  }
  return verdict.result();
}

}  // namespace kerncast::ops
