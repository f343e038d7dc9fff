#pragma once

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "tests/simulator/conformance/form.hpp"

namespace kerncast::conformance {

/// Runs the forms and tells every one that came out wrong.
inline void conforms(const std::vector<Form>& forms, int sm = 100) {
  const Tally tally = run_forms(forms, sm);
  for (const std::string& failure : tally.failures) {
    FAIL_CHECK(failure);
  }
  CHECK(tally.vectors > 0);
  SUCCEED(fmt::format("{} forms, {} vectors", tally.forms, tally.vectors));
}

}  // namespace kerncast::conformance
