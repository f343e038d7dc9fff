#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Approximate functions keep the errors the ISA states") {
  CHECK(failures_of(approximate_forms()) == none);
}
