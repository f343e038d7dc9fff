#pragma once

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/simulator/conformance/form.hpp"
#include "tests/simulator/conformance/warp_form.hpp"

namespace kerncast::conformance {

inline void report(const Tally& tally) {
  for (const std::string& failure : tally.failures) {
    FAIL_CHECK(failure);
  }
  CHECK(tally.vectors > 0);
  SUCCEED(fmt::format("{} forms, {} vectors", tally.forms, tally.vectors));
}

/// Runs the forms and tells every one that came out wrong.
inline void conforms(const std::vector<Form>& forms, int sm = 100) {
  report(run_forms(forms, sm));
}
inline void conforms(const std::vector<WarpForm>& forms, int sm = 100) {
  report(run_warp_forms(forms, sm));
}

}  // namespace kerncast::conformance
