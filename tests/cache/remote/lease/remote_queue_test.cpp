// Machines that share a queue on a Redis. Each object stands for a machine.
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cache/remote/lease/remote_queue.hpp"
#include "tests/cache/remote/redis_process.hpp"
#include "tests/cache/remote/scripted_server.hpp"

using namespace kerncast::cache;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> items{"a", "b", "c"};

/// A machine that uses the queue "plan" on the server at `port`.
class Machine {
 public:
  explicit Machine(int port, std::chrono::milliseconds lease = 15s) : options_(options_of(port, lease)) {
    std::string defect;
    server_ = remote_server(options_, defect);
    REQUIRE(server_ != nullptr);
    queue_.emplace(*server_, options_, warnings_, counters_, "plan", items, 600s);
  }
  RemoteQueue* operator->() { return &*queue_; }
  [[nodiscard]] const std::vector<std::string>& told() const { return told_; }
  /// Takes one item, which other machines may hold until the end of their terms.
  std::string take_one() {
    for (int i = 0; i < 6000 && !queue_->over(); ++i) {
      if (const std::vector<std::string> taken = queue_->take(1); !taken.empty()) {
        return taken.at(0);
      }
      std::this_thread::sleep_for(10ms);
    }
    return {};
  }
  /// The answer of the server to a script about the queue.
  std::string evaluate(const std::string& script) {
    return server_->evaluate(script, "queue:plan", {}, Deadline::after(60s)).bytes;
  }

 private:
  static RemoteOptions options_of(int port, std::chrono::milliseconds lease) {
    RemoteOptions options;
    options.address = RemoteAddress("redis://127.0.0.1:" + std::to_string(port));
    options.timeout = 20s;
    options.lease = lease;
    return options;
  }
  RemoteOptions options_;
  std::vector<std::string> told_;
  WarnOnce warnings_{[this](std::string_view text) { told_.emplace_back(text); }};
  Counters counters_;
  std::unique_ptr<RemoteServer> server_;
  std::optional<RemoteQueue> queue_;
};

TEST_CASE("each item is handed to one machine, and all machines see the end") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  Machine one(redis.port());
  Machine two(redis.port());
  CHECK(one->take(2) == std::vector<std::string>{"a", "b"});
  CHECK(two->take(2) == std::vector<std::string>{"c"});
  CHECK(two->take(1).empty());
  CHECK_FALSE(two->over());
  two->ended("c");
  one->ended("a");
  one->ended("b");
  CHECK(one->take(1).empty());
  CHECK_FALSE(one->over());
  CHECK(two->take(1).empty());
  CHECK(two->over());
  CHECK(one.take_one().empty());
  CHECK(one->over());
  Machine late(redis.port());
  CHECK(late->take(3).empty());
  CHECK(late->over());
  CHECK(one.told().empty());
  CHECK(two.told().empty());
}

TEST_CASE("a queue has an end by itself, which is near once all items have ended") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  Machine machine(redis.port());
  CHECK(machine->take(3).size() == 3);
  const std::string left = "return string.format('%d', redis.call('PTTL', KEYS[1]))";
  const int in_use = std::stoi(machine.evaluate(left));
  CHECK(in_use > 1'800'000);
  CHECK(in_use <= 3'600'000);
  for (const std::string& item : items) {
    machine->ended(item);
  }
  CHECK(machine->take(1).empty());
  const int at_end = std::stoi(machine.evaluate(left));
  CHECK(at_end > 0);
  CHECK(at_end <= 60'000);
}

TEST_CASE("what a machine held that is gone or has left comes back") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  Machine one(redis.port(), 250ms);  // a term of 1 s
  CHECK(one->take(3).size() == 3);
  Machine two(redis.port());
  const std::string first = two.take_one();
  CHECK(!first.empty());
  Machine leaving(redis.port());
  const std::string second = leaving.take_one();
  CHECK(!second.empty());
  CHECK(second != first);
  CHECK(!two.take_one().empty());
  leaving->leave();
  CHECK(two.take_one() == second);
}

TEST_CASE("a machine whose term is over does not take the item away from its next holder") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  Machine one(redis.port(), 250ms);
  CHECK(one->take(3).size() == 3);
  Machine two(redis.port());
  for (int i = 0; i < 3; ++i) {
    CHECK(!two.take_one().empty());
  }
  one->leave();
  Machine three(redis.port());
  CHECK(three->take(3).empty());
  CHECK_FALSE(three->over());
}

TEST_CASE("a queue that vanishes is made anew") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  Machine machine(redis.port());
  CHECK(machine->take(1) == std::vector<std::string>{"a"});
  machine->ended("a");
  CHECK(machine.evaluate("redis.call('DEL', KEYS[1]) return ''").empty());
  CHECK(machine.take_one() == "b");
  CHECK(machine->open() == 2);
  CHECK(machine.told().empty());
}

TEST_CASE("a server that goes, or has something else under the name, is left with one warning") {
  if (!Redis::installed()) {
    return;
  }
  Redis redis;
  Machine machine(redis.port());
  CHECK(machine->take(1).size() == 1);
  Machine other(redis.port());
  CHECK(other.evaluate("redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 'x') return ''").empty());
  CHECK(other->take(1).empty());
  CHECK(other->over());
  CHECK(other.told().size() == 1);
  redis.process().stop();
  machine->ended("a");
  CHECK(machine->take(1).empty());
  CHECK(machine->over());
  CHECK(machine->take(1).empty());
  machine->leave();
  REQUIRE(machine.told().size() == 1);
  CHECK_THAT(machine.told().at(0), Catch::Contains("goes on by itself"));
}

TEST_CASE("answers that no queue gives are refused") {
  const std::string bad[] = {"$3\r\nfoo\r\n",
                             "$9\r\n9 1 1 abc\r\n",
                             "$9\r\n3 1 1 abc\r\n",
                             ":1\r\n",
                             "$-1\r\n",
                             "*1\r\n:1\r\n",
                             "-ERR unknown command 'EVAL'\r\n",
                             "$999999999999\r\n",
                             "HTTP/1.0 400 Bad Request\r\n\r\n",
                             "$6\r\nabsent\r\n"};
  for (const std::string& answer : bad) {
    INFO(answer);
    const ScriptedServer server(answer, "");
    Machine machine(server.port());
    CHECK(machine.take_one().empty());
    CHECK(machine->over());
    CHECK(machine.told().size() == 1);
  }
}

}  // namespace
