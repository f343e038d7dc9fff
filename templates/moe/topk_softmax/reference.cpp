#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/moe/shared/router_reference.hpp"
#include "templates/moe/shared/topk_gate_spec_index.hpp"
#include "templates/reference/choice.hpp"

KERNCAST_REFERENCE(moe, topk_softmax) {
  namespace params = moe::topk_gate_params;
  const reference::HostRows logits(reference::require(input, "logits"));
  const reference::HostRows weights(reference::require(input, "weights"));
  const reference::HostRows ids(reference::require(input, "ids"));
  std::optional<reference::HostRows> bias;
  if (input.spec[params::has_bias] != 0) {
    bias.emplace(reference::require(input, "bias"));
  }
  const auto slots = static_cast<std::size_t>(input.spec[params::top_k]);
  const auto cap = static_cast<double>(static_cast<float>(input.scalar("softcap", 0.0)));

  reference::Verdict verdict;
  const std::int64_t rows = reference::routed_rows(input, logits.rows());
  reference::check_padding(verdict, weights, ids, rows);
  for (std::int64_t row = 0; row < rows; ++row) {
    // softmax(v) has the order of v. NaN comes last.
    std::vector<double> values;
    std::vector<reference::Rank> ranks;
    for (std::int64_t i = 0; i < logits.width(); ++i) {
      const double x = logits(row, i);
      const double capped = cap > 0 ? cap * std::tanh(x / cap) : x;
      const double offset = bias ? (*bias)(0, i) : 0.0;
      values.push_back(capped + offset);
      ranks.push_back(std::isnan(values.back())
                          ? reference::Rank{-std::numeric_limits<double>::infinity(), 0.0}
                          : reference::Rank{values.back(), std::max(std::fabs(capped), std::fabs(offset))});
    }
    const std::vector<std::size_t> got = reference::largest_ids(verdict, ids, row, slots, ranks);
    if (got.empty()) {
      continue;
    }
    const bool nan = std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
    const double largest = *std::max_element(values.begin(), values.end());
    double all = nan ? std::nan("") : 0.0;
    for (const double value : values) {
      all += std::exp(value - largest);
    }
    double chosen = nan ? std::nan("") : 0.0;
    for (const std::size_t id : got) {
      chosen += std::exp(values[id] - largest);
    }
    const double sum = input.spec[params::renormalize] != 0 ? chosen : all;
    for (std::size_t k = 0; k < slots; ++k) {
      const auto column = static_cast<std::int64_t>(k);
      verdict.compare("weights", row, column, DType::f32, weights(row, column),
                      std::exp(values[got[k]] - largest) / sum, 1);
    }
  }
  return verdict.result();
}
