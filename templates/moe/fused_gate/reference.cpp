#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <kerncast/ops/moe/scoring.h>
#include "templates/host/define_op.hpp"
#include "templates/moe/fused_gate/spec_index.hpp"
#include "templates/moe/shared/router_reference.hpp"
#include "templates/reference/choice.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::moe {
namespace {

using reference::Rank;

/// An expert of one token.
struct Expert {
  double score = 0;
  Rank choice;  ///< score + bias, NaN as -infinity
};

double score_of(Scoring scoring, double x) {
  if (scoring == Scoring::sigmoid) {
    return 1.0 / (1.0 + std::exp(-x));
  }
  // The logarithm of 1 + exp(x) without an overflow; NaN stays NaN.
  return std::sqrt((x > 0 ? x : x < 0 ? 0.0 : x) + std::log1p(std::exp(-std::fabs(x))));
}

/// The settings of a call.
struct Settings {
  std::size_t groups;
  std::size_t kept;
  std::size_t routed;
  std::size_t slots;
  bool renormalize;
  bool scaled;
  double factor;
};

/// The experts and groups of one token. It tells which choices among them are certain in spite of rounding.
class Token {
 public:
  Token(std::vector<Expert> experts, const Settings& settings)
      : experts_(std::move(experts)), settings_(settings) {
    const std::size_t size = experts_.size() / settings_.groups;
    for (std::size_t group = 0; group < settings_.groups; ++group) {
      std::vector<double> choices;
      double scale = 0;
      for (std::size_t i = group * size; i < (group + 1) * size; ++i) {
        choices.push_back(experts_[i].choice.value);
        scale = std::max(scale, experts_[i].choice.scale);
      }
      std::sort(choices.rbegin(), choices.rend());
      groups_.push_back({size > 1 ? choices[0] + choices[1] : choices[0], scale});
    }
  }

  [[nodiscard]] std::size_t group_of(std::size_t expert) const {
    return expert / (experts_.size() / settings_.groups);
  }

  /// True if expert `a` comes before `b` whatever the rounding: it is larger by enough, or equal and lower.
  [[nodiscard]] bool expert_beats(std::size_t a, std::size_t b) const {
    return reference::beats(experts_[a].choice, a, experts_[b].choice, b);
  }

  /// A set of groups that may have been kept if the experts of `got` were chosen; empty if there is none.
  [[nodiscard]] std::vector<bool> kept_for(const std::vector<std::size_t>& got) const {
    std::vector<bool> kept(settings_.groups, false);
    for (const std::size_t expert : got) {
      kept[group_of(expert)] = true;
    }
    std::vector<std::size_t> doubtful;
    for (std::size_t group = 0; group < settings_.groups; ++group) {
      std::size_t above = 0;
      std::size_t perhaps_above = 0;
      for (std::size_t other = 0; other < settings_.groups; ++other) {
        const bool certain = other != group && group_beats(other, group);
        above += certain ? 1 : 0;
        perhaps_above +=
            certain || (other != group && reference::confusable(groups_[other], groups_[group])) ? 1 : 0;
      }
      if (above >= settings_.kept && kept[group]) {
        return {};
      }
      if (perhaps_above < settings_.kept) {
        kept[group] = true;
      } else if (above < settings_.kept && !kept[group]) {
        doubtful.push_back(group);
      }
    }
    // The remaining places go to groups that would not have changed the choice, the best first.
    std::sort(doubtful.begin(), doubtful.end(), [&](std::size_t a, std::size_t b) {
      return groups_[a].value != groups_[b].value ? groups_[a].value > groups_[b].value : a < b;
    });
    auto count = static_cast<std::size_t>(std::count(kept.begin(), kept.end(), true));
    for (const std::size_t group : doubtful) {
      if (count < settings_.kept && harmless(group, got)) {
        kept[group] = true;
        ++count;
      }
    }
    if (count != settings_.kept) {
      return {};
    }
    return kept;
  }

  [[nodiscard]] const Expert& operator[](std::size_t i) const { return experts_[i]; }
  [[nodiscard]] std::size_t size() const { return experts_.size(); }

 private:
  [[nodiscard]] bool group_beats(std::size_t a, std::size_t b) const {
    return reference::beats(groups_[a], a, groups_[b], b);
  }

  /// True if none of the group's experts had to be chosen before one of `got`.
  [[nodiscard]] bool harmless(std::size_t group, const std::vector<std::size_t>& got) const {
    for (std::size_t i = 0; i < experts_.size(); ++i) {
      if (group_of(i) == group &&
          std::any_of(got.begin(), got.end(), [&](std::size_t expert) { return expert_beats(i, expert); })) {
        return false;
      }
    }
    return true;
  }

  std::vector<Expert> experts_;
  const Settings& settings_;
  std::vector<Rank> groups_;
};

/// The routed ids of one token. If they break a rule, the verdict records it and the result is empty.
std::vector<std::size_t> check_ids(reference::Verdict& verdict, const reference::HostRows& ids,
                                   std::int64_t row, const Token& token, const Settings& settings) {
  for (std::size_t k = settings.routed; k < settings.slots; ++k) {
    const auto column = static_cast<std::int64_t>(k);
    const auto shared = static_cast<double>(token.size() + k - settings.routed);
    if (ids(row, column) != shared) {
      verdict.fail("ids", row, column,
                   fmt::format("is {}, expected the shared expert {}", ids(row, column), shared));
      return {};
    }
  }
  std::vector<std::size_t> got = reference::distinct_ids(verdict, ids, row, settings.routed, token.size());
  if (got.empty()) {
    return {};
  }
  const std::vector<bool> kept = token.kept_for(got);
  if (kept.empty()) {
    verdict.fail(
        "ids", row, 0,
        fmt::format("and the following are {}, which are not all of kept groups", fmt::join(got, ", ")));
    return {};
  }
  for (std::size_t k = 0; k < settings.routed; ++k) {
    const auto chosen = got.begin() + static_cast<std::ptrdiff_t>(k);
    for (std::size_t i = 0; i < token.size(); ++i) {
      if (kept[token.group_of(i)] && token.expert_beats(i, *chosen) &&
          std::find(got.begin(), chosen, i) == chosen) {
        verdict.fail("ids", row, static_cast<std::int64_t>(k),
                     fmt::format("is {} (score + bias {:.9g}), expected {} ({:.9g}) before it", *chosen,
                                 token[*chosen].choice.value, i, token[i].choice.value));
        return {};
      }
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
      // A quotient by the sum, which is NaN for a row of NaN.
      want = (settings.renormalize && sum != 0 ? sum / sum : sum) / settings.factor;
    }
    want *= settings.scaled ? settings.factor : 1.0;
    verdict.compare("weights", row, static_cast<std::int64_t>(k), DType::f32,
                    weights(row, static_cast<std::int64_t>(k)), want, 1);
  }
}

}  // namespace
}  // namespace kerncast::moe

KERNCAST_REFERENCE(moe, fused_gate) {
  using namespace moe;
  const reference::HostRows logits(reference::require(input, "logits"));
  const reference::HostRows bias(reference::require(input, "bias"));
  const reference::HostRows weights(reference::require(input, "weights"));
  const reference::HostRows ids(reference::require(input, "ids"));
  Settings settings{};
  settings.groups = static_cast<std::size_t>(input.spec[fused_gate_params::groups]);
  settings.kept = static_cast<std::size_t>(input.spec[fused_gate_params::topk_group]);
  settings.slots = static_cast<std::size_t>(input.spec[fused_gate_params::top_k]);
  settings.routed =
      settings.slots - static_cast<std::size_t>(input.spec[fused_gate_params::num_fused_shared_experts]);
  settings.renormalize = input.spec[fused_gate_params::renormalize] != 0;
  settings.scaled = input.spec[fused_gate_params::apply_scale_on_output] != 0;
  settings.factor = static_cast<float>(input.scalar("routed_scaling_factor", 1.0));

  reference::Verdict verdict;
  const auto slots = static_cast<std::int64_t>(settings.slots);
  if (weights.rows() != logits.rows() || ids.rows() != logits.rows() || weights.width() != slots ||
      ids.width() != slots || bias.width() != logits.width()) {
    verdict.fail("weights, ids", 0, 0, "have another shape than logits and top_k ask for");
    return verdict.result();
  }
  const auto scoring = static_cast<Scoring>(input.spec[fused_gate_params::scoring]);
  const std::int64_t rows = reference::routed_rows(input, logits.rows());
  reference::check_padding(verdict, weights, ids, rows);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::vector<Expert> experts;
    for (std::int64_t i = 0; i < logits.width(); ++i) {
      const double score = score_of(scoring, logits(row, i));
      const double choice = score + bias(0, i);
      const double scale = std::max(score, std::fabs(bias(0, i)));
      experts.push_back({score, std::isnan(choice) ? Rank{-std::numeric_limits<double>::infinity(), 0.0}
                                                   : Rank{choice, scale}});
    }
    const Token token(std::move(experts), settings);
    const std::vector<std::size_t> got = check_ids(verdict, ids, row, token, settings);
    if (!got.empty()) {
      check_weights(verdict, weights, row, token, got, settings);
    }
  }
  return verdict.result();
}
