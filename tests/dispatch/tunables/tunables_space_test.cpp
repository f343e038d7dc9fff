#include <catch2/catch.hpp>
#include <limits>

#include "runtime/dispatch/source_text/fingerprint.hpp"
#include "runtime/dispatch/tunables/launch_defect.hpp"
#include "tests/dispatch/sample_op.hpp"

using namespace kerncast;

namespace {

constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();

std::string defect_of_warps(const Specialisation&, const Tunables& tunables, const DeviceTraits& device) {
  if (tunables[0] / 32 % tunables[1] != 0) {
    return "the rows of a block do not share its warps evenly";
  }
  return device.sm < 90 && tunables[1] > 2 ? "so many rows need an sm_90" : "";
}

/// An op whose threads are a range, whose rows of a block are listed, and whose rows divide the warps.
OpDefinition op_of_rows() {
  OpDefinition op = sample_op();
  op.tunables = {{"threads", "threads of a block", {}, 32, 160, 32}, {"rows", "rows of a block", {1, 2, 4}}};
  op.tunables_defect = defect_of_warps;
  op.geometry = [](const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t) noexcept {
    LaunchGeometry made;
    made.block[0] = static_cast<std::uint32_t>(tunables[0]);
    made.dynamic_shared = static_cast<std::uint32_t>(tunables[0] * 350);
    return made;
  };
  return op;
}

std::vector<std::int32_t> values_of(std::int32_t minimum, std::int32_t maximum, std::int32_t multiple_of) {
  return tunable_values({"n", "", {}, minimum, maximum, multiple_of});
}

}  // namespace

TEST_CASE("values of a tunable are its choices in their order, or the multiples within its range") {
  CHECK(tunable_values({"n", "", {4, 1, 2}}) == std::vector<std::int32_t>{4, 1, 2});
  CHECK(values_of(32, 100, 32) == std::vector<std::int32_t>{32, 64, 96});
  CHECK(values_of(1, 100, 48) == std::vector<std::int32_t>{48, 96});
  CHECK(values_of(-3, 3, 2) == std::vector<std::int32_t>{-2, 0, 2});
  CHECK(values_of(33, 63, 32).empty());
  CHECK(values_of(5, 4, 1).empty());
  CHECK(values_of(most - 1, most, 1) == std::vector<std::int32_t>{most - 1, most});
  CHECK_THROWS_WITH(values_of(-most, most, 1), Catch::Contains("more than 1000000 values"));
}

TEST_CASE("a value of a range is checked, and the nearest valid one is named") {
  const OpDefinition op = op_of_rows();
  CHECK(parse_tunables(op, {{"threads", "96"}, {"rows", "1"}}) == Tunables{{96, 1}});
  CHECK_THROWS_WITH(
      check_tunables(op, Tunables{{100, 1}}),
      Catch::Contains(
          "tunable threads = 100 must be from 32 to 160 and a multiple of 32; nearest valid: 96"));
  CHECK_THROWS_WITH(check_tunables(op, Tunables{{0, 1}}), Catch::EndsWith("nearest valid: 32"));
  CHECK_THROWS_WITH(check_tunables(op, Tunables{{192, 1}}), Catch::EndsWith("nearest valid: 160"));
  CHECK_THROWS_WITH(check_tunables(op, Tunables{{96, 9}}),
                    Catch::Contains("rows = 9 must be one of 1, 2, 4; nearest valid: 4"));
  CHECK_THROWS_WITH(parse_tunables(op, {{"threads", "x"}, {"rows", "1"}}),
                    Catch::EndsWith("threads = 'x' must be from 32 to 160 and a multiple of 32"));
}

TEST_CASE("combinations come in one order, and without those that do not go together") {
  const OpDefinition op = op_of_rows();
  const std::vector<Tunables> all = all_tunables(op);
  REQUIRE(all.size() == 15);
  CHECK(all[0] == Tunables{{32, 1}});
  CHECK(all[1] == Tunables{{32, 2}});
  CHECK(all[3] == Tunables{{64, 1}});
  CHECK(all[14] == Tunables{{160, 4}});
  CHECK(
      all_tunables(op, {}, {}, 1) ==
      std::vector<Tunables>{{{32, 1}}, {{64, 1}}, {{64, 2}}, {{96, 1}}, {{128, 1}}, {{128, 2}}, {{128, 4}}});
  CHECK(all_tunables(op, {}, {.sm = 80, .sm_count = 108}, 1).size() == 6);

  OpDefinition plain = sample_op();
  plain.tunables.clear();
  CHECK(all_tunables(plain) == std::vector<Tunables>(1));
  OpDefinition vast = sample_op();
  vast.tunables = {{"a", "", {}, 1, 2000, 1}, {"b", "", {}, 1, 2000, 1}};
  CHECK_THROWS_WITH(all_tunables(vast),
                    Catch::Contains("test.scale") && Catch::Contains("more than 1000000 combinations"));
}

TEST_CASE("a constraint between tunables gives its reason before the geometry is asked") {
  const OpDefinition op = op_of_rows();
  CHECK(launch_defect(op, {}, Tunables{{64, 2}}, {}, "sm_90", 1).empty());
  CHECK(launch_defect(op, {}, Tunables{{160, 2}}, {}, "sm_90", 1) ==
        "the rows of a block do not share its warps evenly");
  CHECK(launch_defect(op, {}, Tunables{{160, 1}}, {}, "sm_90", 1) ==
        "a block would need 56000 bytes of shared memory, sm_90 has 49152");
}

TEST_CASE("the range of a tunable, the constraint and the wait are part of an op's fingerprint") {
  const OpDefinition op = op_of_rows();
  OpDefinition other = op;
  CHECK(fingerprint(other) == fingerprint(op));
  other.waits_for_primary = !op.waits_for_primary;
  CHECK_FALSE(fingerprint(other) == fingerprint(op));
  other = op;
  other.tunables_defect = nullptr;
  CHECK_FALSE(fingerprint(other) == fingerprint(op));
  for (std::int32_t TunableSpec::* const bound :
       {&TunableSpec::minimum, &TunableSpec::maximum, &TunableSpec::multiple_of}) {
    other = op;
    other.tunables[0].*bound += 32;
    CHECK_FALSE(fingerprint(other) == fingerprint(op));
  }
}

TEST_CASE("an op with a tunable of no value is not registered") {
  for (const TunableSpec& tunable :
       {TunableSpec{"n", "", {}}, TunableSpec{"n", "", {}, 33, 63, 32}, TunableSpec{"n", "", {}, 1, 4, 0}}) {
    OpDefinition op = sample_op();
    op.name = "test.no_value";
    op.tunables = {tunable};
    CHECK_THROWS_WITH(OpRegistry::instance().add(op), Catch::Contains("tunable n has no valid value"));
  }
}
