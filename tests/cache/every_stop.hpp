#pragma once

#include <catch2/catch.hpp>

#include "tests/cache/traced_process.hpp"

/// Calls `round` with each harm until the child outruns it. False where tracing is not permitted.
/// Only where a call begins: a file is the same there as where the call before ended, since nothing writes to
/// files but calls.
template <class Round>
bool at_every_stop(int error, Round&& round) {
  for (int at = 0;; at += 2) {
    INFO("stop " << at << " error " << error);
    const TracedOutcome outcome = round(Harm{at, error});
    if (!outcome.traced) {
      WARN("not permitted to trace processes here: the case was not tried");
      return false;
    }
    if (!outcome.reached) {
      REQUIRE(at > 10);
      REQUIRE(outcome.code == 0);
      return true;
    }
    if (error == 0) {
      REQUIRE(outcome.code == 128 + SIGKILL);
    } else {
      REQUIRE(outcome.code < 2);
    }
  }
}
