// Candidates that are left out before they are timed.
#include "tools/tune/evaluate/fitness.hpp"

#include <catch2/catch.hpp>

#include "tests/tools/tune/made_up_op.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::with_threads;

namespace {

struct Place {
  [[nodiscard]] std::optional<Unfit> unfit(const Compiled& made, std::int64_t rows = 1 << 20,
                                           bool described = true) const {
    return unfitness(point, rows, described ? devices::find_device_description("h100") : nullptr,
                     with_threads(point, 64), made, with_threads(point, 128), own);
  }

  OpDefinition op = test::wrong_at_96_threads();
  Point point = test::point_on_h100(op, 1 << 20);
  Compiled own{32, 8, 0, {}, false};
};

}  // namespace

TEST_CASE_METHOD(Place, "a candidate that is like the default is fit") {
  CHECK_FALSE(unfit({32, 0, 0, {}, false}));
  CHECK_FALSE(unfit({32, 8, 0, {}, false}));
}

TEST_CASE_METHOD(Place, "what does not compile is unfit, by the compiler or by the machine") {
  const auto refused = unfit({0, 0, 0, "refused", true});
  REQUIRE(refused);
  CHECK(refused->outcome == Outcome::does_not_compile);
  CHECK(refused->why == "refused");
  CHECK(unfit({0, 0, 0, "no memory", false})->outcome == Outcome::failed);
}

TEST_CASE_METHOD(Place, "a candidate may not spill more than the default") {
  const auto spills = unfit({32, 12, 0, {}, false});
  REQUIRE(spills);
  CHECK(spills->outcome == Outcome::spills);
  CHECK_THAT(spills->why, Catch::Contains("12 bytes") && Catch::Contains("8 of the default"));
}

TEST_CASE_METHOD(Place, "registers may not cost half of the warps of an SM, unless the call has few blocks") {
  const Compiled fat{255, 0, 0, {}, false};
  const auto low = unfit(fat);
  REQUIRE(low);
  CHECK(low->outcome == Outcome::low_occupancy);
  CHECK_THAT(low->why, Catch::Contains("registers"));
  CHECK_FALSE(unfit(fat, 128));
  CHECK_FALSE(unfit(fat, 1 << 20, false));
}
