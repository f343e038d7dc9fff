#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Atomics conform") {
  conforms(atomic_forms());
}

TEST_CASE("Atomics of vectors conform") {
  conforms(atomic_vector_forms());
}

TEST_CASE("Loads conform") {
  conforms(load_forms());
}

TEST_CASE("Stores conform") {
  conforms(store_forms());
}

TEST_CASE("Asynchronous copies and barriers conform") {
  conforms(async_forms());
}
