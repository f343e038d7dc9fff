#include <algorithm>
#include <cmath>

#include "tools/tune/search/seeded_order.hpp"
#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {
namespace {

class RandomOrder final : public Strategy {
 public:
  RandomOrder(const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
      : Strategy(space), order_(seeded_order(space.size(), seed)) {
    const double share = std::ceil(parameters["share"] * static_cast<double>(space.size()));
    order_.resize(std::min(space.size(), static_cast<std::size_t>(share)));
  }

 private:
  std::vector<std::size_t> wish(std::size_t most) override {
    std::vector<std::size_t> wishes;
    for (; wishes.size() < most && next_ < order_.size(); ++next_) {
      wishes.push_back(order_[next_]);
    }
    return wishes;
  }

  // The default comes first, whatever the order.
  std::size_t limit() const override { return order_.size() + 1; }

  std::vector<std::size_t> outlook() const override { return order_; }

  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
};

}  // namespace

StrategyInfo random_strategy() {
  return {"random",
          "candidates in a random order",
          false,
          {{"share", 1, 0, 1, "part of the space that is tried; all of it, since stop rules end a search"}},
          [](const SearchSpace& space, const Parameters& parameters,
             std::uint64_t seed) -> std::unique_ptr<Strategy> {
            return std::make_unique<RandomOrder>(space, parameters, seed);
          }};
}

}  // namespace kerncast::tools
