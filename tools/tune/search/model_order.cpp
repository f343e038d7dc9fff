#include <algorithm>
#include <numeric>

#include "tools/tune/search/strategies.hpp"

namespace kerncast::tools {
namespace {

class ModelOrder final : public Strategy {
 public:
  ModelOrder(const SearchSpace& space, const Parameters& parameters)
      : Strategy(space),
        least_(parameters.count("least")),
        most_(parameters.count("most")),
        margin_(parameters["margin"]),
        order_(space.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    // Without a model the order of the identifiers stays.
    if (!space.expected_us.empty()) {
      std::stable_sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
        return space.expected_us[a] < space.expected_us[b];
      });
    }
  }

 private:
  std::vector<std::size_t> wish(std::size_t most) override {
    std::vector<std::size_t> wishes;
    for (; wishes.size() < most && next_ < order_.size() && next_ < most_ && !nothing_left(); ++next_) {
      wishes.push_back(order_[next_]);
    }
    return wishes;
  }

  // The default comes first, whatever the order.
  std::size_t limit() const override { return most_ + 1; }

  std::vector<std::size_t> outlook() const override { return order_; }

  /// True if the model says that every candidate from here on is slower than the quickest so far, even if it
  /// errs by the margin.
  [[nodiscard]] bool nothing_left() const {
    return next_ >= least_ && !space().expected_us.empty() &&
           space().expected_us[order_[next_]] > margin_ * space().expected_us[best()];
  }

  std::size_t least_;
  std::size_t most_;
  double margin_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
};

}  // namespace

StrategyInfo model_strategy() {
  return {
      "model",
      "the candidates that the cost model likes most, until it says that nothing is left",
      true,
      {{"least", 8, 1, 1e6, "candidates that are tried whatever the model says; it errs by a few places"},
       {"most", 16, 1, 1e6, "candidates that are tried at most; the best is rarely further down"},
       {"margin", 1.25, 1, 100,
        "the search ends when the model expects more than this multiple of the time it expects of the "
        "quickest so far; the model's errors between variants of one op are smaller"}},
      [](const SearchSpace& space, const Parameters& parameters, std::uint64_t) -> std::unique_ptr<Strategy> {
        return std::make_unique<ModelOrder>(space, parameters);
      }};
}

}  // namespace kerncast::tools
