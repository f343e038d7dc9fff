#include <algorithm>
#include <cmath>
#include <limits>

#include "tools/tune/search/neighbours.hpp"
#include "tools/tune/search/seeded_order.hpp"
#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {
namespace {

/// Regression by distance: what it expects of a candidate is the mean of the logarithms of the times told,
/// each weighted by how near it is. Every told time updates the sums of all candidates, so a search costs its
/// trials times its candidates. It first spreads a few trials over the space, then in turn takes a neighbour
/// of the quickest and the candidate with the least expectation, less what its distance leaves open.
class Guided final : public Strategy {
 public:
  Guided(const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
      : Strategy(space),
        most_(std::max(parameters.count("least"),
                       static_cast<std::size_t>(parameters["share"] * static_cast<double>(space.size())))),
        first_(std::min(parameters.count("first"), most_ / 3)),
        reach_(parameters["reach"]),
        daring_(parameters["daring"]),
        order_(seeded_order(space.size(), seed)),
        weights_(space.size()),
        sums_(space.size()),
        nearest_(space.size(), std::numeric_limits<double>::infinity()) {}

 private:
  std::vector<std::size_t> wish(std::size_t /*most*/) override {
    if (given_count() >= most_) {
      return {};
    }
    if (given_count() <= first_) {
      return {farthest()};
    }
    std::size_t chosen = space().size();
    if (given_count() % 2 == 0) {
      chosen = most_promising(neighbours_of(space(), best()));
    }
    if (chosen == space().size()) {
      chosen = most_promising(order_);
    }
    return chosen == space().size() ? std::vector<std::size_t>() : std::vector<std::size_t>{chosen};
  }

  std::size_t limit() const override { return most_; }

  void learn(std::size_t index, double time) override {
    // A candidate that cannot be used says that those around it may not be good either.
    const double value = std::isfinite(time) ? std::log(time) : std::log(unusable);
    mean_ += (value - mean_) / static_cast<double>(++learnt_);
    for (std::size_t other = 0; other < space().size(); ++other) {
      const double distance = square_distance(index, other);
      const double weight = std::exp(-distance / (2 * reach_ * reach_));
      weights_[other] += weight;
      sums_[other] += weight * value;
      nearest_[other] = std::min(nearest_[other], distance);
    }
  }

  [[nodiscard]] double square_distance(std::size_t a, std::size_t b) const {
    double sum = 0;
    for (std::size_t i = 0; i < space().places[a].size(); ++i) {
      const double step = space().places[a][i] - space().places[b][i];
      sum += step * step;
    }
    return sum;
  }

  /// The candidate that is farthest from all that were tried.
  [[nodiscard]] std::size_t farthest() const {
    std::size_t chosen = space().size();
    for (const std::size_t index : order_) {
      if (!is_given(index) && (chosen == space().size() || nearest_[index] > nearest_[chosen])) {
        chosen = index;
      }
    }
    return chosen == space().size() ? order_.front() : chosen;
  }

  [[nodiscard]] double expectation(std::size_t index) const {
    // One observation of the mean at the reach's edge keeps the sums of lonely candidates from noise.
    constexpr double prior = 0.1;
    const double expected = (sums_[index] + prior * mean_) / (weights_[index] + prior);
    return expected - daring_ / std::sqrt(1 + weights_[index]) * std::min(1.0, std::sqrt(nearest_[index]));
  }

  /// The one of `indices` that was not tried and has the least expectation; the size of the space if all
  /// were.
  [[nodiscard]] std::size_t most_promising(const std::vector<std::size_t>& indices) const {
    std::size_t chosen = space().size();
    double least = 0;
    for (const std::size_t index : indices) {
      if (is_given(index)) {
        continue;
      }
      if (const double expected = expectation(index); chosen == space().size() || expected < least) {
        chosen = index;
        least = expected;
      }
    }
    return chosen;
  }

  static constexpr double unusable = 2;  ///< a time in multiples of the default's

  std::size_t most_;
  std::size_t first_;
  double reach_;
  double daring_;
  std::vector<std::size_t> order_;
  std::vector<double> weights_;
  std::vector<double> sums_;
  std::vector<double> nearest_;  ///< square of the distance to the nearest candidate that was told
  double mean_ = 0;
  std::size_t learnt_ = 0;
};

}  // namespace

StrategyInfo guided_strategy() {
  return {
      "guided",
      "learns from the times told which candidates promise most",
      false,
      {{"first", 2, 0, 1e6, "trials that are spread over the space before it learns, a third of all at most"},
       {"share", 0.3, 0, 1, "part of the space that is tried at most"},
       {"least", 16, 1, 1e6, "trials that it may make whatever the share; small spaces are cheap"},
       {"reach", 0.4, 0.05, 100, "doublings of a tunable over which a time says something of another"},
       {"daring", 0.2, 0, 10, "how much quicker than expected an unknown place may be, as a logarithm"}},
      [](const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
          -> std::unique_ptr<Strategy> { return std::make_unique<Guided>(space, parameters, seed); }};
}

}  // namespace kerncast::tools
