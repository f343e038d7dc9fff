#pragma once

#include <catch2/catch.hpp>

#include "tests/cache/traced_process.hpp"

/// Calls `round` with a harm at the beginning of each system call, until the child ends before the harm. The
/// end of a call need not be tested, since files do not change between calls. False if tracing is not
/// permitted.
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
