// The time that a command may take.
#include "tools/tune/time_budget.hpp"

#include <catch2/catch.hpp>
#include <cmath>

using kerncast::tools::TimeBudget;

TEST_CASE("a budget without a limit is never spent, and neither are its parts") {
  CHECK_FALSE(TimeBudget().limited());
  CHECK_FALSE(TimeBudget(0).limited());
  CHECK_FALSE(TimeBudget().spent());
  CHECK(std::isinf(TimeBudget().seconds_left()));
  CHECK_FALSE(TimeBudget().share(3).limited());
  CHECK(TimeBudget().text().empty());
}

TEST_CASE("a budget ends at an instant, and is then spent for good") {
  const TimeBudget spent(1e-9);
  while (!spent.spent()) {
  }
  CHECK(spent.seconds_left() == 0);
  CHECK(spent.share(2).spent());
  CHECK_FALSE(TimeBudget(3600).spent());
  CHECK(TimeBudget(3600).seconds_left() <= 3600);
}

TEST_CASE("devices share what is left equally, and the last one has the rest") {
  const TimeBudget whole(9000);
  CHECK(whole.share(3).seconds_left() <= 3000);
  CHECK(whole.share(3).seconds_left() > 2000);
  CHECK(whole.share(1).text() == whole.text());
}

TEST_CASE("a portion is spent before the whole") {
  const TimeBudget whole(9000);
  CHECK(whole.portion(0.5).seconds_left() <= 4500);
  CHECK(whole.portion(0.5).seconds_left() > 4000);
  CHECK(whole.portion(0).spent());
  CHECK_FALSE(TimeBudget().portion(0.5).limited());
}

TEST_CASE("another process reads when a budget is spent") {
  const TimeBudget budget(3600);
  CHECK(TimeBudget::parse(budget.text()).text() == budget.text());
  CHECK(TimeBudget::parse("1").spent());
  for (const char* text : {"", "soon", "1 s"}) {
    CHECK_FALSE(TimeBudget::parse(text).limited());
  }
}
