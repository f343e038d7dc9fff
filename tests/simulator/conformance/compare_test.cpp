#include "tests/simulator/conformance/run_conformance.hpp"

using namespace kerncast::conformance;

TEST_CASE("Comparisons and selections conform") {
  CHECK(failures_of(compare_forms()) == none);
}

TEST_CASE("A wrong result is told, and so is a run of nothing") {
  std::vector<Form> forms = compare_forms();
  forms.resize(1);
  CHECK(failures_of(forms) == none);
  forms[0].reference = [right = forms[0].reference](const Inputs& in) {
    Outputs out = right(in);
    out[0] ^= 1U;
    return out;
  };
  CHECK_FALSE(failures_of(forms) == none);
  CHECK_FALSE(failures_of(std::vector<Form>()) == none);
}
