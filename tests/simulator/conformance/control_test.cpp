#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Branches, addresses, the stack and hints conform") {
  CHECK(failures_of(control_forms()) == none);
}

TEST_CASE("Special registers and exits conform") {
  CHECK(failures_of(special_forms()) == none);
}
