#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Floats of 32 and 64 bits conform") {
  CHECK(failures_of(float_forms()) == none);
}
