#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Matrix products conform") {
  CHECK(failures_of(mma_forms(), 120) == none);
}

TEST_CASE("Moves of matrices conform") {
  CHECK(failures_of(matrix_move_forms()) == none);
}
