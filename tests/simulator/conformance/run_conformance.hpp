#pragma once

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/warp_form.hpp"

namespace kerncast::conformance {

/// The failures; a run in which nothing ran is a failure, too.
inline std::vector<std::string> failures_of(Tally tally) {
  if (!tally.refused.empty()) {
    WARN(
        tally.forms << " forms, " << tally.vectors << " vectors; the device does not have "
                    << fmt::format("{} variants:\n{}", tally.refused.size(), fmt::join(tally.refused, "\n")));
  }
  if (tally.vectors == 0) {
    tally.failures.emplace_back("no vector ran");
  }
  return std::move(tally.failures);
}
inline std::vector<std::string> failures_of(const std::vector<Form>& forms, int sm = 100) {
  return failures_of(run_forms(forms, sm));
}
inline std::vector<std::string> failures_of(const std::vector<WarpForm>& forms, int sm = 100) {
  return failures_of(run_warp_forms(forms, sm));
}

inline const std::vector<std::string> none;

}  // namespace kerncast::conformance
