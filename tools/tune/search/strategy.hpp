#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tools/tune/search/parameters.hpp"
#include "tools/tune/search/search_space.hpp"

namespace kerncast::tools {

/// Chooses which candidates to try and in which order. The order depends on nothing but the space, the
/// parameters, the seed and the times that were told. Not thread-safe.
class Strategy {
 public:
  virtual ~Strategy() = default;
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;

  /// Indices of at most `most` candidates to try next, each once in the whole search; the default is the very
  /// first. Empty at the end of the search. Times of the candidates that it gave before must have been told.
  [[nodiscard]] std::vector<std::size_t> next(std::size_t most);
  /// Candidates that it will probably want soon, so that they can be compiled meanwhile. A guess: it binds
  /// nothing.
  [[nodiscard]] std::vector<std::size_t> foresee(std::size_t most) const;
  /// The most candidates that it tries, stop rules aside.
  [[nodiscard]] std::size_t most() const { return std::min(limit(), space_->size()); }
  /// Tells the time of a candidate as a multiple of the default's; infinity if it cannot be used.
  void tell(std::size_t index, double time);

 protected:
  /// `space` must outlive the strategy.
  explicit Strategy(const SearchSpace& space) : space_(&space), told_(space.size()), given_(space.size()) {}

  [[nodiscard]] const SearchSpace& space() const { return *space_; }
  [[nodiscard]] bool is_given(std::size_t index) const { return given_[index] != 0; }
  /// The told time; 0 before.
  [[nodiscard]] double time_of(std::size_t index) const { return told_[index]; }
  /// The quickest candidate that was told.
  [[nodiscard]] std::size_t best() const { return best_; }
  [[nodiscard]] std::size_t given_count() const { return given_count_; }

 private:
  /// Up to `most` wishes; those that were given before are dropped, and then it is asked again. No wish at
  /// all ends the search.
  virtual std::vector<std::size_t> wish(std::size_t most) = 0;
  virtual std::size_t limit() const { return space_->size(); }
  virtual void learn(std::size_t index, double time);
  /// All candidates in the order in which it will probably want them; those that were given are left out.
  virtual std::vector<std::size_t> outlook() const;

  const SearchSpace* space_;
  std::vector<double> told_;
  std::vector<char> given_;
  std::size_t given_count_ = 0;
  std::size_t best_ = 0;
  bool any_told_ = false;
};

/// A strategy that a user can name.
struct StrategyInfo {
  std::string name;
  std::string summary;       ///< one line
  bool needs_model = false;  ///< it reads SearchSpace::expected_us
  std::vector<ParameterInfo> parameters;
  std::unique_ptr<Strategy> (*make)(const SearchSpace&, const Parameters&, std::uint64_t seed) = nullptr;
};

/// All strategies, in the order in which the help lists them.
[[nodiscard]] const std::vector<StrategyInfo>& strategies();

/// A strategy with its parameters, as a user chose it.
struct StrategyChoice {
  const StrategyInfo* info = nullptr;
  Parameters parameters;

  [[nodiscard]] std::unique_ptr<Strategy> make(const SearchSpace& space, std::uint64_t seed) const {
    return info->make(space, parameters, seed);
  }
};

/// Parses "guided" or "guided:first=8,share=0.3". Throws UsageError that names the nearest strategy or
/// parameter.
[[nodiscard]] StrategyChoice parse_strategy(const std::string& text);

}  // namespace kerncast::tools
