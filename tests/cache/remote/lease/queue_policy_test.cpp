// The steps of a machine that works on a queue are tested one by one, with a clock that the test moves.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "cache/remote/lease/queue_policy.hpp"

using namespace kerncast::cache;
using Time = QueuePolicy::Time;
using namespace std::chrono_literals;

namespace {

QueueAnswer answer_of(std::uint64_t open, const std::string& item = {}, std::uint64_t end = 1000) {
  QueueAnswer answer;
  answer.exists = true;
  answer.open = open;
  answer.end = end;
  answer.next = 20s;
  answer.item = item;
  return answer;
}

/// A policy for the items "a", "b" and "c", and its clock.
struct Machine {
  QueuePolicy policy{{}, {"a", "b", "c"}};
  Time now{1000};

  std::optional<std::string> ask(const QueueAnswer& answer, std::size_t places = 1) {
    REQUIRE(policy.step(now, places) == QueueStep::ask);
    return policy.answered(answer, now);
  }
};

TEST_CASE("a queue that is not there is made with what has not ended here") {
  Machine machine;
  CHECK(machine.ask(answer_of(3, "b")) == "b");
  machine.policy.ended("b");
  CHECK(machine.ask({}) == std::nullopt);
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::make);
  CHECK(machine.policy.unfinished() == std::vector<std::string>{"a", "c"});
  machine.policy.made();
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::ask);
  for (int i = 0; i < 100 && machine.policy.step(machine.now, 1) != QueueStep::alone; ++i) {
    static_cast<void>(machine.policy.answered({}, machine.now));
    machine.policy.made();
  }
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
}

TEST_CASE("an item is reported when it has ended, with the request for the next one") {
  Machine machine;
  CHECK(machine.ask(answer_of(3, "a")) == "a");
  CHECK(machine.policy.step(machine.now, 0) == QueueStep::rest);
  machine.policy.ended("a");
  REQUIRE(machine.policy.step(machine.now, 1) == QueueStep::ask);
  const QueueRequest request = machine.policy.request();
  CHECK(request.ended == std::vector<std::string>{"a"});
  CHECK(request.takes);
  CHECK(request.renewed.empty());
  CHECK(machine.policy.answered(answer_of(2, "b"), machine.now) == "b");
  CHECK(machine.policy.request().ended.empty());
}

TEST_CASE("a term is renewed while its item is worked on, and under its newest end") {
  Machine machine;
  CHECK(machine.ask(answer_of(3, "a", 5000)) == "a");
  machine.now += 9s;
  CHECK(machine.policy.step(machine.now, 0) == QueueStep::rest);
  machine.now += 1s;
  REQUIRE(machine.policy.step(machine.now, 0) == QueueStep::ask);
  QueueRequest request = machine.policy.request();
  REQUIRE(request.renewed.size() == 1);
  CHECK(request.renewed[0].item == "a");
  CHECK(request.renewed[0].end == 5000);
  CHECK_FALSE(request.takes);
  CHECK(machine.policy.answered(answer_of(3, "", 15000), machine.now) == std::nullopt);
  CHECK(machine.policy.step(machine.now, 0) == QueueStep::rest);
  request = machine.policy.farewell();
  REQUIRE(request.returned.size() == 1);
  CHECK(request.returned[0].end == 15000);
}

TEST_CASE("a machine that gets nothing asks in growing pauses, and ends when all items have ended") {
  Machine machine;
  Time last{0};
  for (int i = 0; i < 8; ++i) {
    CHECK(machine.ask(answer_of(2)) == std::nullopt);
    const Time asked = machine.now;
    while (machine.policy.step(machine.now, 1) == QueueStep::rest) {
      machine.now += 10ms;
    }
    CHECK(machine.now - asked >= last);
    CHECK(machine.now - asked <= 2s);
    last = machine.now - asked;
  }
  CHECK(last == 2s);
  CHECK(machine.ask(answer_of(1, "c")) == "c");
  machine.policy.ended("c");
  CHECK(machine.ask(answer_of(0)) == std::nullopt);
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::finished);
}

TEST_CASE("a machine that works on the last item is not finished before that ends") {
  Machine machine;
  CHECK(machine.ask(answer_of(1, "c")) == "c");
  machine.now += 10s;
  CHECK(machine.ask(answer_of(0)) == std::nullopt);
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::rest);
  machine.policy.ended("c");
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::finished);
}

TEST_CASE("an item that has ended here and is handed out again is reported again") {
  Machine machine;
  CHECK(machine.ask(answer_of(3, "a")) == "a");
  machine.policy.ended("a");
  CHECK(machine.ask(answer_of(3, "a")) == std::nullopt);
  CHECK(machine.policy.request().ended == std::vector<std::string>{"a"});
  int times = 1;
  while (machine.policy.step(machine.now, 1) == QueueStep::ask && times < 100) {
    CHECK(machine.policy.answered(answer_of(3, "a"), machine.now) == std::nullopt);
    ++times;
  }
  CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
}

TEST_CASE("an own item whose term was over is not worked on twice") {
  Machine machine;
  CHECK(machine.ask(answer_of(3, "a", 5000)) == "a");
  CHECK(machine.ask(answer_of(3, "a", 90000)) == std::nullopt);
  CHECK(machine.policy.farewell().returned.at(0).end == 90000);
}

TEST_CASE("a server that contradicts itself, fails or makes no progress is left, with a reason") {
  SECTION("an item of another plan") {
    Machine machine;
    CHECK(machine.ask(answer_of(3, "x")) == std::nullopt);
    CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
    CHECK_FALSE(machine.policy.reason().empty());
  }
  SECTION("more items than the plan has") {
    Machine machine;
    CHECK(machine.ask(answer_of(4, "a")) == std::nullopt);
    CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
  }
  SECTION("an item that was not asked for") {
    Machine machine;
    CHECK(machine.ask(answer_of(3, "a")) == "a");
    machine.now += 10s;
    CHECK(machine.ask(answer_of(3, "b"), 0) == std::nullopt);
    CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
  }
  SECTION("a failure") {
    Machine machine;
    machine.policy.failed("it is gone");
    CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
    CHECK(machine.policy.reason() == "it is gone");
  }
  SECTION("other machines that end nothing") {
    Machine machine;
    const Time began = machine.now;
    for (int i = 0; i < 10000 && machine.policy.step(machine.now, 1) != QueueStep::alone; ++i) {
      if (machine.policy.step(machine.now, 1) == QueueStep::ask) {
        CHECK(machine.policy.answered(answer_of(2), machine.now) == std::nullopt);
      }
      machine.now += 1s;
    }
    CHECK(machine.policy.step(machine.now, 1) == QueueStep::alone);
    CHECK(machine.now - began > 600s);
    CHECK(machine.now - began < 700s);
  }
}

TEST_CASE("only answers of the right form are read") {
  const std::optional<QueueAnswer> absent = parse_queue_answer("absent");
  REQUIRE(absent);
  CHECK_FALSE(absent->exists);
  const std::optional<QueueAnswer> taken = parse_queue_answer("7 1733091234567 250 ab12");
  REQUIRE(taken);
  CHECK(taken->exists);
  CHECK(taken->open == 7);
  CHECK(taken->end == 1733091234567);
  CHECK(taken->next == 250ms);
  CHECK(taken->item == "ab12");
  const std::optional<QueueAnswer> none = parse_queue_answer("7 1733091234567 99999999999999 ");
  REQUIRE(none);
  CHECK(none->item.empty());
  CHECK(none->next == 1h);
  for (const std::string bad :
       {"", "x", "1", "1 2", "1 2 x", "-1 2 3 a", "1 2 99999999999999999999999 a", "1  2 3"}) {
    CHECK_FALSE(parse_queue_answer(bad));
  }
  CHECK_FALSE(parse_queue_answer("1 2 3 " + std::string(1000, 'a')));
}

}  // namespace
