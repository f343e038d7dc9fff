#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Instructions among the lanes of a warp conform") {
  conforms(warp_forms());
}

TEST_CASE("Barriers conform") {
  conforms(barrier_forms());
}
