// The calls of fewer rows from which the counts of a call of many rows follow.
#include "tools/tune/space/even_steps.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/tools/measure/doubling_op.hpp"
#include "tools/tune/space/call_shape.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

/// An op whose rows have seven vectors, which blocks of `threads` share out.
OpDefinition seven_vectors() {
  OpDefinition op = test::doubling_op(";");
  op.geometry = [](const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept {
    const std::int64_t threads = tunables[0];
    return LaunchGeometry{{static_cast<std::uint32_t>((rows * 7 + threads - 1) / threads), 1, 1},
                          {static_cast<std::uint32_t>(threads), 1, 1},
                          0};
  };
  return op;
}

std::optional<EvenSteps> steps_of(const OpDefinition& op, std::int32_t threads, std::int64_t rows,
                                  std::int64_t period = 1) {
  return even_steps(op, {}, Tunables{{threads}}, DeviceTraits{90, 132, 232448}, rows, 1, period);
}

}  // namespace

TEST_CASE("a step is a whole number of blocks and of sectors") {
  const OpDefinition op = seven_vectors();
  // 96 rows of seven vectors fill seven blocks of 96 threads, and no fewer rows fill whole blocks.
  const std::optional<EvenSteps> steps = steps_of(op, 96, 1000);
  REQUIRE(steps.has_value());
  CHECK(steps->step == 96);
  CHECK(steps->first >= 32);
  CHECK(steps->rows(steps->steps) == 1000);
  // 28 threads take four rows.
  REQUIRE(steps_of(op, 28, 1000).has_value());
  CHECK(steps_of(op, 28, 1000)->step == 32);
  REQUIRE(steps_of(op, 35, 1000).has_value());
  CHECK(steps_of(op, 35, 1000)->step == 35);
  REQUIRE(steps_of(op, 35, 1000, 8).has_value());
  CHECK(steps_of(op, 35, 1000, 8)->step == 40);
}

TEST_CASE("a call has no even steps if it is short, or its blocks do not grow") {
  OpDefinition op = seven_vectors();
  CHECK_FALSE(steps_of(op, 96, 512).has_value());
  CHECK_FALSE(steps_of(op, 28, 100).has_value());
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
    return LaunchGeometry{{132, 1, 1}, {128, 1, 1}, 0};
  };
  CHECK_FALSE(steps_of(op, 96, 4096).has_value());
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t rows) noexcept {
    return LaunchGeometry{
        {static_cast<std::uint32_t>(std::min<std::int64_t>(rows, 4000)), 1, 1}, {128, 1, 1}, 0};
  };
  CHECK_FALSE(steps_of(op, 96, 4096).has_value());
  CHECK(steps_of(op, 96, 4000).has_value());
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t rows) noexcept {
    return LaunchGeometry{{static_cast<std::uint32_t>(rows), 1, 1}, {rows < 100 ? 64U : 128U, 1, 1}, 0};
  };
  CHECK_FALSE(steps_of(op, 96, 4096).has_value());
}

TEST_CASE("the rows of a tensor realign with the sectors of memory") {
  OpDefinition op = test::doubling_op(";");
  const Workload workload{&op, "", {}, {}};
  // A row is one float.
  CHECK(sector_period(workload, 1000) == 8);
  CHECK(input_names(workload, 1000) == std::vector<std::string>{"x"});
  // 64 rows share a page.
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{
        test::floats("y", (bindings.require_tensor("own.double", "x").numel() + 63) / 64 * 64)};
  };
  CHECK(sector_period(workload, 1000) == 32);
}
