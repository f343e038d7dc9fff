#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Comparisons and selections conform") {
  CHECK(failures_of(compare_forms()) == none);
}
