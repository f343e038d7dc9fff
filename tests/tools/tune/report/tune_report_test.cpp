// The decisions of stored trials, in words and numbers.
#include "tools/tune/report/tune_report.hpp"

#include <catch2/catch.hpp>

#include "tools/model/settings.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/tune_run.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

const Conditions measured = {
    cache::TunedSource::measured, "NVIDIA H200", "NVRTC 13.0", "1.0", "fixed", "made-up rounds", "", ""};

Point point_of_op(const char* name, const std::vector<std::pair<std::string, std::string>>& params,
                  const std::vector<std::pair<std::string, double>>& scalars, int sm_count = 132) {
  return point_of({&require_op(name), "", params, scalars}, "sm_90a", DeviceTraits{90, sm_count, 232448}, 1);
}

/// The default takes 10 us, and the last candidate saves 5 %.
StoredSearch search_of(const Point& point) {
  const Space space = space_of(point);
  StoredSearch made;
  made.fields = search_fields(point, point.rows, space, measured, "0123");
  Trial own;
  own.tunables = space.own().text;
  own.samples_us.assign(20, 10.0);
  Trial other;
  other.tunables = space.valid.at(space.first + 1 == space.valid.size() ? 0 : space.valid.size() - 1).text;
  other.samples_us.assign(20, 9.5);
  other.default_us.assign(20, 10.0);
  made.trials = {own, other};
  return made;
}

TuneReport report_of(const Point& point, const DecisionPolicy& policy = {}) {
  const StoredSearch search = search_of(point);
  return make_tune_report({search}, false, policy, [](const Point&) { return std::string("0123"); });
}

}  // namespace

TEST_CASE("the run-time scalars of a search come back as they were") {
  const TuneReport report = report_of(point_of_op("norm.rms_norm", {{"hidden", "4096"}}, {{"eps", 1.1e-6}}));
  REQUIRE(report.points.size() == 1);
  REQUIRE(report.points.front().scalars.size() == 1);
  CHECK(report.points.front().scalars.front() == std::pair<std::string, double>("eps", 1.1e-6));
  CHECK(report_json(report).at("points").at(0).at("scalars").at("eps") == 1.1e-6);
}

TEST_CASE("a report decides by the gain that is demanded of it") {
  const Point point = point_of_op("norm.rms_norm", {{"hidden", "4096"}}, {});
  CHECK(report_of(point).default_won == 0);
  DecisionPolicy policy;
  policy.least_gain = 0.06;
  CHECK(report_of(point, policy).default_won == 1);
}

TEST_CASE("a report takes the traits of the device that was tuned, and the description that its name tells") {
  const std::vector<std::pair<std::string, std::string>> params = {{"hidden", "7168"}, {"top_k", "8"}};
  const Point small = point_of_op("moe.unpermute", params, {}, 4);
  REQUIRE(space_of(small).own().text != space_of(point_of_op("moe.unpermute", params, {})).own().text);
  const TuneReport report = report_of(small);
  REQUIRE(report.points.size() == 1);
  CHECK(report.points.front().is_current);
  CHECK(report.points.front().bound_us ==
        Approx(memory_bound_us(small, 1, *devices::find_device_description("h200"))));
  CHECK(report.points.front().bound_us !=
        Approx(memory_bound_us(small, 1, *devices::find_device_description("h100"))));
}

TEST_CASE("traits are written as text and read back") {
  const DeviceTraits traits{90, 114, 232448};
  const std::optional<DeviceTraits> read = parse_traits(format_traits(traits));
  REQUIRE(read);
  CHECK(read->sm == 90);
  CHECK(read->sm_count == 114);
  CHECK(read->max_shared_per_block == 232448);
  for (const char* text : {"", "sm=90", "sm=90 sm_count=x shared=1", "sm=90 sm_count=1 shared=1 more"}) {
    CHECK_FALSE(parse_traits(text));
  }
}
