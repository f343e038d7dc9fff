#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Floats of 16 bits conform") {
  conforms(half_forms());
}

TEST_CASE("Arithmetic of mixed precision conforms") {
  conforms(mixed_forms());
}
