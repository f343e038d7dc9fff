#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Integer arithmetic conforms") {
  CHECK(failures_of(integer_forms()) == none);
}

TEST_CASE("Integer products conform") {
  CHECK(failures_of(multiply_forms()) == none);
}

TEST_CASE("Bit operations and moves conform") {
  CHECK(failures_of(bit_forms()) == none);
}
