#include <fmt/format.h>
#include <xxhash.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/templates/suite/derived_cases.hpp"
#include "tests/templates/suite/op_suite.hpp"

namespace kerncast::test {
namespace {

constexpr std::int64_t rows = 19;

/// The ordinary case of an op, and one with results in f32, whose bits show more. Where scales have forms,
/// each setting has other instructions, so all are cases.
std::vector<OpCase> cases_of(const OpDefinition& op) {
  const Settings ordinary = ordinary_settings(op);
  std::vector<OpCase> cases{derived_case(op, ordinary, rows)};
  if (find_param(op, "y_dtype") >= 0) {
    if (std::optional<OpCase> test = try_derived_case(op, with_setting(ordinary, "y_dtype", "f32"), rows)) {
      cases.push_back(std::move(*test));
    }
  }
  if (find_param(op, "scale_form") >= 0) {
    for (const Settings& settings : variants_of(op)) {
      cases.push_back(derived_case(op, settings, rows));
    }
  }
  return cases;
}

}  // namespace

// Hidden: same_bits_on_architectures.py runs it on one virtual device after another and compares what it
// prints.
TEST_CASE("digests of the results of every op", "[.digests]") {
  for (const std::string_view name : op_folders()) {
    const OpDefinition& op = OpRegistry::instance().require(name);
    for (const OpCase& test : cases_of(op)) {
      const Outcome outcome = require_good(test);
      for (const std::string& result : results_of(op, test)) {
        const std::vector<std::byte> bytes = elements_of(*outcome.input.tensor(result));
        CHECK_FALSE(bytes.empty());
        fmt::print("digest {} [{}] {} {:016x}\n", name, format_specialisation(op, outcome.input.spec), result,
                   XXH3_64bits(bytes.data(), bytes.size()));
      }
    }
  }
}

}  // namespace kerncast::test
