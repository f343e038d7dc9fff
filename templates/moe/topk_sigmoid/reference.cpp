#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/moe/shared/router_reference.hpp"
#include "templates/moe/shared/topk_gate_spec_index.hpp"
#include "templates/reference/choice.hpp"

KERNCAST_REFERENCE(moe, topk_sigmoid) {
  namespace params = moe::topk_gate_params;
  const reference::HostRows logits(reference::require(input, "logits"));
  const reference::HostRows weights(reference::require(input, "weights"));
  const reference::HostRows ids(reference::require(input, "ids"));
  std::optional<reference::HostRows> bias;
  if (input.spec[params::has_bias] != 0) {
    bias.emplace(reference::require(input, "bias"));
  }
  const auto slots = static_cast<std::size_t>(input.spec[params::top_k]);

  reference::Verdict verdict;
  const std::int64_t rows = reference::routed_rows(input, logits.rows());
  reference::check_padding(verdict, weights, ids, rows);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::vector<double> scores;
    std::vector<reference::Rank> ranks;
    for (std::int64_t i = 0; i < logits.width(); ++i) {
      const double score = 1.0 / (1.0 + std::exp(-logits(row, i)));
      const double offset = bias ? (*bias)(0, i) : 0.0;
      scores.push_back(score);
      ranks.push_back(std::isnan(score + offset)
                          ? reference::Rank{-std::numeric_limits<double>::infinity(), 0.0}
                          : reference::Rank{score + offset, std::max(score, std::fabs(offset))});
    }
    const std::vector<std::size_t> got = reference::largest_ids(verdict, ids, row, slots, ranks);
    double sum = 0;
    for (const std::size_t id : got) {
      sum += scores[id];
    }
    for (std::size_t k = 0; k < got.size(); ++k) {
      const auto column = static_cast<std::int64_t>(k);
      const double renormalized = sum == 0 ? 0.0 : scores[got[k]] / sum;
      verdict.compare("weights", row, column, DType::f32, weights(row, column),
                      input.spec[params::renormalize] != 0 ? renormalized : scores[got[k]], 1);
    }
  }
  return verdict.result();
}
