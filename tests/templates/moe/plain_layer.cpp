#include "tests/templates/moe/plain_layer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

namespace kerncast::test {
namespace {

double dot(const double* a, const double* b, std::size_t count) {
  return std::inner_product(a, a + count, b, 0.0);
}

double activated(const PlainLayer& layer, double gate, double up) {
  if (layer.limit > 0) {
    gate = std::fmin(gate, layer.limit);
    up = std::clamp(up, -layer.limit, layer.limit);
  }
  switch (layer.activation) {
    case PlainActivation::silu:
      return gate / (1 + std::exp(-gate)) * up;
    case PlainActivation::gelu:
      return 0.5 * gate * std::erfc(-gate / std::sqrt(2.0)) * up;
    case PlainActivation::swiglu_oai:
      break;
  }
  return (up + 1) * gate / (1 + std::exp(-layer.alpha * gate));
}

/// Indices of the `count` largest values, the largest first.
std::vector<int> largest(const std::vector<double>& values, std::size_t count) {
  std::vector<int> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  order.resize(count);
  return order;
}

PlainChoice normalised(std::vector<int> experts, const std::vector<double>& scores) {
  PlainChoice made{std::move(experts), {}};
  double sum = 0;
  for (const int e : made.experts) {
    sum += scores[static_cast<std::size_t>(e)];
  }
  for (const int e : made.experts) {
    made.weights.push_back(scores[static_cast<std::size_t>(e)] / sum);
  }
  return made;
}

}  // namespace

PlainRows plain_layer(const PlainLayer& layer, const PlainRounding& rounding) {
  PlainRows made{layer.addend, {}};
  made.y.resize(layer.tokens * layer.hidden);
  made.reach.resize(layer.tokens * layer.hidden);
  std::vector<double> inner(layer.width);
  for (std::size_t slot = 0; slot < layer.experts.size(); ++slot) {
    if (layer.experts[slot] < 0) {
      continue;
    }
    const auto expert = static_cast<std::size_t>(layer.experts[slot]);
    const std::size_t token = slot / layer.top_k;
    const double* x = layer.x.data() + token * layer.hidden;
    const double* gates = layer.w13.data() + expert * 2 * layer.width * layer.hidden;
    double largest_inner = 0;
    for (std::size_t i = 0; i < layer.width; ++i) {
      const bool in_turns = layer.activation == PlainActivation::swiglu_oai;
      const std::size_t of_gate = in_turns ? 2 * i : i;
      const std::size_t of_up = in_turns ? 2 * i + 1 : layer.width + i;
      double gate = dot(gates + of_gate * layer.hidden, x, layer.hidden);
      double up = dot(gates + of_up * layer.hidden, x, layer.hidden);
      if (!layer.bias13.empty()) {
        gate += layer.bias13[expert * 2 * layer.width + of_gate];
        up += layer.bias13[expert * 2 * layer.width + of_up];
      }
      inner[i] = activated(layer, gate, up);
      largest_inner = std::fmax(largest_inner, std::fabs(inner[i]));
    }
    const double* w2 = layer.w2.data() + expert * layer.hidden * layer.width;
    const double weight = layer.factor * layer.weights[slot];
    for (std::size_t j = 0; j < layer.hidden; ++j) {
      const double* row = w2 + j * layer.width;
      double product = layer.bias2.empty() ? 0 : layer.bias2[expert * layer.hidden + j];
      double moved = 0;
      for (std::size_t i = 0; i < layer.width; ++i) {
        product += row[i] * inner[i];
        moved += std::fabs(row[i]) *
                 (rounding.between * std::fabs(inner[i]) + rounding.of_largest * largest_inner);
      }
      made.y[token * layer.hidden + j] += weight * product;
      made.reach[token * layer.hidden + j] +=
          std::fabs(weight) * (moved + rounding.after * std::fabs(product));
    }
  }
  return made;
}

PlainChoice plain_softmax(const std::vector<double>& logits, const std::vector<double>& bias,
                          std::size_t top_k) {
  std::vector<double> scores(logits.size());
  for (std::size_t e = 0; e < logits.size(); ++e) {
    scores[e] = std::exp(logits[e] + (bias.empty() ? 0 : bias[e]));
  }
  return normalised(largest(scores, top_k), scores);
}

PlainChoice plain_sigmoid(const std::vector<double>& logits, const std::vector<double>& bias,
                          std::size_t top_k, std::size_t groups, std::size_t kept) {
  std::vector<double> scores(logits.size());
  std::vector<double> biased(logits.size());
  for (std::size_t e = 0; e < logits.size(); ++e) {
    scores[e] = 1 / (1 + std::exp(-logits[e]));
    biased[e] = scores[e] + (bias.empty() ? 0 : bias[e]);
  }
  const std::size_t size = logits.size() / groups;
  std::vector<double> of_group(groups);
  for (std::size_t g = 0; g < groups; ++g) {
    std::vector<double> members(biased.begin() + static_cast<std::ptrdiff_t>(g * size),
                                biased.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
    std::sort(members.begin(), members.end(), std::greater<>());
    of_group[g] = members[0] + (size > 1 ? members[1] : 0);
  }
  const std::vector<int> chosen = largest(of_group, kept);
  for (std::size_t e = 0; e < biased.size(); ++e) {
    if (std::find(chosen.begin(), chosen.end(), static_cast<int>(e / size)) == chosen.end()) {
      biased[e] = -1e30;
    }
  }
  return normalised(largest(biased, top_k), scores);
}

}  // namespace kerncast::test
