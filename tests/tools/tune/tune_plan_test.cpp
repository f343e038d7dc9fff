// The points of a request.
#include "tools/tune/tune_plan.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "kerncast/error.hpp"
#include "tools/io/usage_error.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

std::vector<Point> plan(const TuneRequest& request) {
  Console console;
  return plan_points(request, "sm_90a", DeviceTraits{90, 132, 232448}, console);
}

TuneRequest norm() {
  TuneRequest request;
  request.op = "norm.rms_norm";
  request.settings = {"hidden=256"};
  request.rows = {1, 3, 4, 64};
  return request;
}

}  // namespace

TEST_CASE("row counts of one bucket are one point") {
  const std::vector<Point> points = plan(norm());
  REQUIRE(points.size() == 3);
  CHECK(points[0].rows_high == 1);
  CHECK(points[1].rows_low == 3);
  CHECK(points[1].rows_high == 4);
  CHECK(points[2].rows_low == 33);
}

TEST_CASE("the parts of a plan are disjoint and together the whole") {
  TuneRequest request;
  request.models = {"llama-3-8b"};
  request.rows = {1, 8, 64};
  std::set<std::string> whole;
  for (const Point& point : plan(request)) {
    whole.insert(describe(point));
  }
  std::set<std::string> parts;
  std::size_t count = 0;
  for (std::size_t index = 1; index <= 3; ++index) {
    request.shard.index = index;
    request.shard.count = 3;
    for (const Point& point : plan(request)) {
      parts.insert(describe(point));
      ++count;
    }
  }
  CHECK(parts == whole);
  CHECK(count == whole.size());
  CHECK(whole.size() > 6);
}

TEST_CASE("a request that leaves nothing is refused, and so is a shape that the op does not take") {
  TuneRequest request;
  request.models = {"llama-3-8b"};
  request.rows = {1};
  request.selection.op_globs = {"moe.*"};
  CHECK_THROWS_WITH(plan(request), Catch::Contains("--ops moe.* selects nothing to tune"));
  TuneRequest wrong = norm();
  wrong.settings = {"hidden=-1"};
  CHECK_THROWS_AS(plan(wrong), UsageError);
}
