#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Conversions of single values conform") {
  conforms(convert_forms());
}
