// Servers that try to keep a launch waiting, or to fill its memory.
#include <catch2/catch.hpp>

#include "cache/cache.hpp"
#include "cache/remote/address/resolve.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "tests/cache/remote/scripted_server.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
using Catch::Matchers::Contains;

namespace {

constexpr std::chrono::milliseconds patience(100);

RemoteOptions options_of(const std::string& scheme, const ScriptedServer& server) {
  return {RemoteAddress(scheme + "://127.0.0.1:" + std::to_string(server.port())), true, patience, {}, {}};
}

/// The answer of `server`, which is asked once and given 20 s.
RemoteAnswer answer_of(const std::string& scheme, const ScriptedServer& server) {
  std::string defect;
  const auto client = remote_server(options_of(scheme, server), defect);
  REQUIRE(client != nullptr);
  return client->get("name", Deadline::after(std::chrono::seconds(20)));
}

/// Looks up eight keys in a cache that has nothing but `server`, and checks that only the first of them costs
/// a request, and that this request ends.
void costs_one_request(const std::string& scheme, const ScriptedServer& server) {
  std::vector<std::string> warnings;
  CacheOptions options;
  options.remote = options_of(scheme, server);
  Cache cache(options, [&](std::string_view text) { warnings.emplace_back(text); });
  for (std::uint64_t i = 1; i <= 8; ++i) {
    CHECK(!cache.load(Key{i, i}));
  }
  CHECK(server.connections() == 1);
  CHECK(warnings.size() == 1);
}

const std::string http_head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";

}  // namespace

TEST_CASE("an answer that comes byte by byte ends at the deadline and costs one request") {
  // Without an end of the whole request, each of these bytes would start a new time-out.
  costs_one_request("redis", {"$100000\r\n", "x"});
  costs_one_request("http", {http_head, "x"});
  costs_one_request("http", {"HTTP/1.1 200 OK\r\n", "X-Header: x\r\n"});
}

TEST_CASE("a server whose answer is refused is left alone like one that fails") {
  costs_one_request("redis", {"$4\r\njunk\r\n", ""});
  costs_one_request("http", {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\njunk", ""});
}

TEST_CASE("a Redis reply longer than any entry is refused by its announcement") {
  CHECK_THAT(answer_of("redis", {"$400000000000\r\n", "x"}).failure, Contains("too long"));
}

TEST_CASE("a Redis reply that is an array is refused before memory is taken for it") {
  const RemoteAnswer answer = answer_of("redis", {"*2000000000\r\n", "x"});
  CHECK(answer.state == RemoteState::failed);
  CHECK_THAT(answer.failure, Contains("memory", Catch::CaseSensitive::No));
}

TEST_CASE("nothing is asked once the budget of a miss is spent") {
  const ScriptedServer server("$-1\r\n", "");
  std::vector<std::string> warnings;
  WarnOnce warn([&](std::string_view text) { warnings.emplace_back(text); });
  Counters counters;
  RemoteOptions options = options_of("redis", server);
  options.read_only = false;
  RemoteStore store(options, warn, counters);
  WaitBudget spent{std::chrono::milliseconds(0)};
  CHECK(!store.load(Key{1, 1}, spent).entry);
  store.put(Key{1, 1}, sample_entry(), spent);
  CHECK(server.connections() == 0);
  // The server is not to blame.
  CHECK(warnings.empty());
  WaitBudget budget{std::chrono::seconds(20)};
  CHECK(!store.load(Key{1, 1}, budget).entry);
  CHECK(server.connections() == 1);
}

TEST_CASE("a budget runs only while something is waited for") {
  WaitBudget budget{std::chrono::milliseconds(300)};
  {
    const WaitBudget::Wait wait(budget);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  {
    const WaitBudget::Wait wait(budget);
    CHECK(!wait.deadline().expired());
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    CHECK(wait.deadline().expired());
  }
  CHECK(WaitBudget::Wait(budget).deadline().expired());
}

TEST_CASE("names and numbers are resolved, and an unknown name gives the reason") {
  std::string failure;
  CHECK(resolve("127.0.0.1", Deadline::after(std::chrono::milliseconds(0)), failure) ==
        std::vector<std::string>{"127.0.0.1"});
  CHECK(resolve("::1", Deadline::after(std::chrono::milliseconds(0)), failure) ==
        std::vector<std::string>{"::1"});
  CHECK(failure.empty());
  CHECK(resolve("no-such-host.invalid", Deadline::after(std::chrono::seconds(20)), failure).empty());
  CHECK(!failure.empty());
}
