#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Conversions of single values conform") {
  CHECK(failures_of(convert_forms()) == none);
}

TEST_CASE("Conversions of pairs conform") {
  CHECK(failures_of(narrow_convert_forms()) == none);
}
