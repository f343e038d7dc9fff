#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Integer arithmetic conforms") {
  conforms(integer_forms());
}

TEST_CASE("Integer products conform") {
  conforms(multiply_forms());
}

TEST_CASE("Bit operations and moves conform") {
  conforms(bit_forms());
}
