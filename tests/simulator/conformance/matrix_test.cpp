#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Matrix products conform") {
  conforms(mma_forms(), 120);
}

TEST_CASE("Moves of matrices conform") {
  conforms(matrix_move_forms());
}
