#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Branches, addresses, the stack and hints conform") {
  conforms(control_forms());
}

TEST_CASE("Special registers and exits conform") {
  conforms(special_forms());
}
