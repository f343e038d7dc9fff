#include <catch2/catch.hpp>
#include <vector>

#include <kerncast/ops/moe/grouped_gemm.hpp>
#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tests/templates/moe/expert_ids.hpp"
#include "tests/templates/moe/grouped_gemm_case.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

/// A case of several tiles along each dimension, whose results show every bit of a sum.
GemmCase several_tiles() {
  return {.tokens = 24, .n = 160, .k = 1312, .experts = 2, .block = 64, .c = DType::f32};
}

/// The bits of c under a third of all tunables that a launch can have, which must be those of the defaults.
void check_tunables(const OpCase& of) {
  const OpDefinition& op = definition_of<moe::GroupedGemm>();
  const Outcome expected = require_good(of);
  int launched = 0;
  OpCase test = of;
  std::size_t place = 0;
  for (const std::int32_t rows : {8, 16, 32, 64, 128}) {
    for (const std::int32_t columns : {32, 64, 128}) {
      for (const std::int32_t depth : {32, 64, 128}) {
        for (const std::int32_t warps : {4, 8}) {
          const auto stages = static_cast<std::int32_t>(2 + place % 3);
          const Tunables tunables{{rows, columns, depth, stages, warps, 1}};
          const Specialisation& spec = expected.input.spec;
          if (++place % 3 != 0 ||
              !launch_defect(op, spec, tunables, runtime().traits(0), runtime().arch(0), 3).empty()) {
            continue;
          }
          INFO(rows << " rows, " << columns << " columns, " << depth << " of k, " << stages << " stages, "
                    << warps << " warps");
          test.launch = [&](Runtime& on, const Views& views) {
            on.prepare(op, op.bind(bindings_of(of, views)), tunables).launch(nullptr);
          };
          CHECK(bytes_of(require_good(test), "c") == bytes_of(expected, "c"));
          ++launched;
        }
      }
    }
  }
  CHECK(launched >= 12);
}

}  // namespace

TEST_CASE("grouped_gemm gives a row the same bits among any others") {
  const GemmCase of{.tokens = 90, .n = 40, .k = 1000, .experts = 4, .block = 64, .c = DType::f32};
  const std::vector<double> ids = expert_ids(of.tokens * of.top_k, of.experts, of.seed);
  const Outcome whole = require_good(make_case(of, ids));
  for (const std::int64_t tokens : {1, 7, 33}) {
    GemmCase few = of;
    few.tokens = tokens;
    OpCase test = make_case(few, {ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(tokens * of.top_k)});
    // samples() of one seed begin alike, so the matrices and the first rows are the same.
    const Outcome outcome = require_good(test);
    for (std::int64_t slot = 0; slot < tokens * of.top_k; ++slot) {
      CHECK(row_of_c(outcome, slot) == row_of_c(whole, slot));
    }
  }
}

TEST_CASE("grouped_gemm gives the same bits with all tunables and scales of blocks") {
  GemmCase of = several_tiles();
  of.k = 1296;
  of.type = DType::fp8_e4m3;
  of.scales = 3;
  of.gated = GENERATE(false, true);
  check_tunables(make_case(of));
}

TEST_CASE("grouped_gemm gives the same bits with all tunables and int8") {
  GemmCase of = several_tiles();
  of.type = DType::i8;
  of.scales = 2;
  of.gated = true;
  check_tunables(make_case(of));
}

TEST_CASE("grouped_gemm gives the same bits with all tunables and four bits") {
  GemmCase of = several_tiles();
  of.bits = 4;
  of.packed_scales = GENERATE(DType::ue8m0, DType::bf16);
  check_tunables(make_case(of));
}
