#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Atomics conform") {
  CHECK(failures_of(atomic_forms()) == none);
}

TEST_CASE("Atomics of vectors conform") {
  CHECK(failures_of(atomic_vector_forms()) == none);
}

TEST_CASE("Loads conform") {
  CHECK(failures_of(load_forms()) == none);
}

TEST_CASE("Stores conform") {
  CHECK(failures_of(store_forms()) == none);
}

TEST_CASE("Asynchronous copies and barriers conform") {
  CHECK(failures_of(async_forms()) == none);
}
