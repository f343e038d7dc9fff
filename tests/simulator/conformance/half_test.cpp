#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Floats of 16 bits conform") {
  CHECK(failures_of(half_forms()) == none);
}

TEST_CASE("Arithmetic of mixed precision conforms") {
  CHECK(failures_of(mixed_forms()) == none);
}
