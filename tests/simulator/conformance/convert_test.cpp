#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Conversions of single values conform") {
  conforms(convert_forms());
}

TEST_CASE("Conversions of pairs conform") {
  conforms(narrow_convert_forms());
}
