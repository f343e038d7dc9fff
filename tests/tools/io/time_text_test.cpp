#include "tools/io/time_text.hpp"

#include <catch2/catch.hpp>
#include <ctime>

#include "tools/io/usage_error.hpp"

using namespace kerncast::tools;

TEST_CASE("ages have one unit") {
  CHECK(parse_age("--x", "90s") == 90);
  CHECK(parse_age("--x", "12h") == 12 * 3600);
  CHECK(parse_age("--x", "2w") == 14 * 86400);
  for (const char* none : {"", "12", "h", "-1h", "1.5d", "1y", "99999999999d"}) {
    CHECK_THROWS_AS(parse_age("--x", none), UsageError);
  }
}

TEST_CASE("a duration has one unit and is not empty") {
  using std::chrono::milliseconds;
  CHECK(parse_duration("--x", "500ms") == milliseconds(500));
  CHECK(parse_duration("--x", "5s") == milliseconds(5000));
  CHECK(parse_duration("--x", "10m") == milliseconds(600000));
  CHECK(parse_duration("--x", "2h") == milliseconds(7200000));
  for (const char* none : {"", "5", "s", "-1s", "1.5s", "1d", "5sec", "0s", "0ms", "99999999999s", "5 s"}) {
    INFO(none);
    CHECK_THROWS_AS(parse_duration("--x", none), UsageError);
    CHECK_THROWS_WITH(parse_duration("--x", none), Catch::Contains("--x"));
  }
  CHECK_THROWS_WITH(parse_duration("--x", "0s"), Catch::Contains("the least is 1ms"));
}

TEST_CASE("a moment is a time in UTC or an age back from now") {
  CHECK(parse_moment("--x", "1970-01-02") == 86400);
  CHECK(parse_moment("--x", "2026-01-31 13:05") == 1769864700);
  CHECK(parse_moment("--x", "2026-01-31T13:05:09") == 1769864709);
  CHECK(parse_moment("--x", "2026-01-31T13:05:09Z") == 1769864709);
  const std::int64_t before = std::time(nullptr);
  const std::int64_t moment = parse_moment("--x", "1h");
  CHECK(moment >= before - 3600);
  CHECK(moment <= std::time(nullptr) - 3600);
  for (const char* none :
       {"", "2026", "2026-13-01", "2026-02-30", "2026-01-31T25:00", "2026-01-31x", "soon"}) {
    CHECK_THROWS_WITH(parse_moment("--x", none), Catch::Contains("--x"));
  }
}
