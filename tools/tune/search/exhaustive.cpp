#include <numeric>

#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {
namespace {

class Exhaustive final : public Strategy {
 public:
  explicit Exhaustive(const SearchSpace& space) : Strategy(space) {}

 private:
  std::vector<std::size_t> wish(std::size_t most) override {
    std::vector<std::size_t> wishes;
    for (; wishes.size() < most && next_ < space().size(); ++next_) {
      wishes.push_back(next_);
    }
    return wishes;
  }

  std::vector<std::size_t> outlook() const override {
    std::vector<std::size_t> all(space().size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    return all;
  }

  std::size_t next_ = 0;
};

}  // namespace

StrategyInfo exhaustive_strategy() {
  return {"exhaustive",
          "every candidate, in the order of their identifiers",
          false,
          {},
          [](const SearchSpace& space, const Parameters&, std::uint64_t) -> std::unique_ptr<Strategy> {
            return std::make_unique<Exhaustive>(space);
          }};
}

}  // namespace kerncast::tools
