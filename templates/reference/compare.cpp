#include "templates/reference/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "templates/reference/host_float.hpp"

namespace kerncast::reference {
namespace {

bool near(DType type, double got, double want, int steps) {
  if (std::isnan(got) || std::isnan(want)) {
    return std::isnan(got) && std::isnan(want);
  }
  return std::llabs(ordinal(type, got) - ordinal(type, want)) <= steps;
}

double deviation(DType type, double got, double want) {
  if (got == want || (std::isnan(got) && std::isnan(want))) {
    return 0;
  }
  if (!std::isfinite(got) || !std::isfinite(want)) {
    return std::isnan(got) || std::isnan(want)
               ? std::numeric_limits<double>::infinity()
               : static_cast<double>(std::llabs(ordinal(type, got) - ordinal(type, want)));
  }
  return std::fabs(got - want) / unit(type, std::fmax(std::fabs(got), std::fabs(want)));
}

}  // namespace

void Verdict::compare(std::string_view tensor, std::int64_t row, std::int64_t column, DType type, double got,
                      double want, int steps) {
  note(deviation(type, got, want));
  if (!near(type, got, want, steps)) {
    fail(tensor, row, column,
         fmt::format("is {:.9g}, expected {:.9g} within {} step{} of {}", got, want, steps,
                     steps == 1 ? "" : "s", name_of(type)));
  }
}

void Verdict::compare_either(std::string_view tensor, std::int64_t row, std::int64_t column, DType type,
                             double got, double want, double other, int steps) {
  compare(tensor, row, column, type, got, near(type, got, other, steps) ? other : want, steps);
}

void Verdict::compare_within(std::string_view tensor, std::int64_t row, std::int64_t column, DType type,
                             double got, double want, double reach, int steps) {
  const bool finite = std::isfinite(got) && std::isfinite(want + reach);
  compare(tensor, row, column, type, got, finite ? std::clamp(got, want - reach, want + reach) : want, steps);
}

void Verdict::compare_between(std::string_view tensor, std::int64_t row, std::int64_t column, DType type,
                              double got, double one, double other) {
  const bool ordered = !std::isnan(got) && !std::isnan(one) && !std::isnan(other);
  compare(tensor, row, column, type, got,
          ordered ? std::clamp(got, std::min(one, other), std::max(one, other)) : one, 0);
}

void Verdict::fail(std::string_view tensor, std::int64_t row, std::int64_t column, const std::string& what) {
  if (failures_++ == 0) {
    detail_ = fmt::format("{}[{}, {}] {}", tensor, row, column, what);
  }
}

ReferenceResult Verdict::result() const {
  ReferenceResult made;
  made.ok = failures_ == 0;
  made.max_error = max_error_;
  made.detail = failures_ > 1 ? fmt::format("{} (and {} more)", detail_, failures_ - 1) : detail_;
  return made;
}

}  // namespace kerncast::reference
