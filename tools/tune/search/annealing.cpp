#include <cmath>

#include "tools/tune/search/neighbours.hpp"
#include "tools/tune/search/seeded_order.hpp"
#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {
namespace {

class Annealing final : public Strategy {
 public:
  Annealing(const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
      : Strategy(space),
        steps_(parameters.count("steps")),
        heat_(parameters["heat"]),
        cooling_(parameters["cooling"]),
        random_(seed),
        here_(space.first) {}

 private:
  std::vector<std::size_t> wish(std::size_t /*most*/) override {
    settle();
    for (; steps_ > 0; --steps_) {
      const std::vector<std::size_t> around = neighbours_of(space(), here_);
      // Every tenth step leaps, so that places without neighbours are left too.
      const bool leap = around.empty() || random_.below(10) == 0;
      next_ = leap ? random_.below(space().size()) : around[random_.below(around.size())];
      if (!is_given(next_)) {
        --steps_;
        return {next_};
      }
      settle();
    }
    return {};
  }

  /// Goes to the candidate of the last step, or not, now that its time is known.
  void settle() {
    if (next_ < space().size()) {
      const double worse = std::log(time_of(next_) / time_of(here_));
      if (worse <= 0 || random_.unit() < std::exp(-worse / heat_)) {
        here_ = next_;
      }
      heat_ *= cooling_;
      next_ = space().size();
    }
  }

  std::size_t steps_;
  double heat_;
  double cooling_;
  SeededRandom random_;
  std::size_t here_;
  std::size_t next_ = static_cast<std::size_t>(-1);
};

}  // namespace

StrategyInfo annealing_strategy() {
  return {
      "annealing",
      "steps to neighbours, also to slower ones at first",
      false,
      {{"steps", 400, 1, 1e7, "steps in all, those to candidates that were tried before included"},
       {"heat", 0.1, 1e-6, 10,
        "at first a candidate that is slower by this much is accepted with probability 1/e; variants of an "
        "op differ by about as much"},
       {"cooling", 0.985, 0.5, 1, "the heat after a step is this multiple of the heat before it"}},
      [](const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
          -> std::unique_ptr<Strategy> { return std::make_unique<Annealing>(space, parameters, seed); }};
}

}  // namespace kerncast::tools
