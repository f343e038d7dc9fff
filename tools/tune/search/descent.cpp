#include <limits>

#include "tools/tune/search/neighbours.hpp"
#include "tools/tune/search/seeded_order.hpp"
#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {
namespace {

/// Tries every value of one tunable while the others stay, goes on from the quickest, and ends where no
/// tunable helps any more. Then it begins again elsewhere.
class Descent final : public Strategy {
 public:
  Descent(const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
      : Strategy(space),
        restarts_(parameters.count("restarts")),
        starts_(seeded_order(space.size(), seed)),
        here_(space.first) {}

 private:
  std::vector<std::size_t> wish(std::size_t most) override {
    if (space().places[here_].empty()) {
      return {};
    }
    while (true) {
      const std::vector<std::size_t> line = along_axis(space(), here_, axis_);
      std::vector<std::size_t> wishes;
      for (const std::size_t index : line) {
        if (!is_given(index) && wishes.size() < most) {
          wishes.push_back(index);
        }
      }
      if (!wishes.empty()) {
        return wishes;
      }
      step(line);
      if (unmoved_ == space().places[here_].size()) {
        const std::size_t start = fresh_start();
        return start == space().size() ? std::vector<std::size_t>() : std::vector<std::size_t>{start};
      }
    }
  }

  /// Goes to the quickest of `line`, all of which was tried, and turns to the next tunable.
  void step(const std::vector<std::size_t>& line) {
    const std::size_t before = here_;
    for (const std::size_t index : line) {
      here_ = time_of(index) < time_of(here_) ? index : here_;
    }
    unmoved_ = here_ == before ? unmoved_ + 1 : 0;
    axis_ = (axis_ + 1) % space().places[here_].size();
  }

  /// A candidate that was not tried, from which the descent goes on; the size of the space if there is none.
  std::size_t fresh_start() {
    unmoved_ = 0;
    for (; restarts_ > 0 && next_start_ < starts_.size(); ++next_start_) {
      if (!is_given(starts_[next_start_])) {
        --restarts_;
        here_ = starts_[next_start_];
        return here_;
      }
    }
    return space().size();
  }

  std::size_t restarts_;
  std::vector<std::size_t> starts_;
  std::size_t next_start_ = 0;
  std::size_t here_;
  std::size_t axis_ = 0;
  std::size_t unmoved_ = 0;  ///< tunables in a row that did not help
};

}  // namespace

StrategyInfo descent_strategy() {
  return {"descent",
          "one tunable after the other, from the quickest so far, with fresh starts",
          false,
          {{"restarts", 2, 0, 1e6,
            "fresh starts after a place where no tunable helps; two find most second valleys of a space of "
            "a few hundred candidates"}},
          [](const SearchSpace& space, const Parameters& parameters, std::uint64_t seed)
              -> std::unique_ptr<Strategy> { return std::make_unique<Descent>(space, parameters, seed); }};
}

}  // namespace kerncast::tools
