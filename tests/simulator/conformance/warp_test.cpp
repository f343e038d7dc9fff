#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Instructions among the lanes of a warp conform") {
  CHECK(failures_of(warp_forms()) == none);
}

TEST_CASE("Barriers conform") {
  CHECK(failures_of(barrier_forms()) == none);
}
