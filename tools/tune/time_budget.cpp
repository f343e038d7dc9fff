#include "tools/tune/time_budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>

namespace kerncast::tools {

TimeBudget::TimeBudget(double seconds) {
  if (seconds > 0) {
    end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
}

TimeBudget TimeBudget::parse(const std::string& text) {
  TimeBudget budget;
  std::int64_t nanoseconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), nanoseconds);
  if (error == std::errc() && end == text.data() + text.size()) {
    budget.end_ =
        Clock::time_point(std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(nanoseconds)));
  }
  return budget;
}

double TimeBudget::seconds_left() const {
  return limited() ? std::max(0.0, std::chrono::duration<double>(end_ - Clock::now()).count())
                   : std::numeric_limits<double>::infinity();
}

TimeBudget TimeBudget::share(std::size_t parts) const {
  return parts > 1 ? portion(1 / static_cast<double>(parts)) : *this;
}

TimeBudget TimeBudget::portion(double part) const {
  TimeBudget portion = *this;
  if (limited()) {
    const Clock::time_point now = Clock::now();
    const std::chrono::duration<double> left = std::max(end_ - now, Clock::duration::zero());
    portion.end_ = now + std::chrono::duration_cast<Clock::duration>(left * part);
  }
  return portion;
}

std::string TimeBudget::text() const {
  return limited()
             ? fmt::format(
                   "{}",
                   std::chrono::duration_cast<std::chrono::nanoseconds>(end_.time_since_epoch()).count())
             : std::string();
}

}  // namespace kerncast::tools
