// The entries of a server are listed page by page, whatever the server sends.
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cache/remote/server/remote_listing.hpp"
#include "tests/cache/remote/scripted_server.hpp"

using namespace kerncast::cache;
using Catch::Matchers::Contains;

namespace {

/// A server whose pages a function makes.
class Pages : public RemoteServer {
 public:
  using Make = std::function<RemotePage(const std::string& place)>;
  explicit Pages(Make make) : make_(std::move(make)) {}
  RemoteAnswer get(const std::string&, const Deadline&) override { return {}; }
  RemoteAnswer put(const std::string&, std::string_view, const Deadline&) override { return {}; }
  RemoteAnswer claim(const LeaseClaim&, const Deadline&) override { return {}; }
  RemoteAnswer release(const std::string&, const std::string&, const Deadline&) override { return {}; }
  RemotePage list(const std::string& prefix, const std::string& place, const Deadline&) override {
    CHECK(prefix == "v1-");
    ++asked;
    return make_(place);
  }
  int asked = 0;

 private:
  Make make_;
};

RemotePage page(std::vector<std::string> names, std::string next = "") {
  return {RemoteState::done, std::move(names), std::move(next), {}};
}

std::string name_of(const Key& key) {
  return "v1-" + key.hex() + ".kce";
}

/// The listing of a server each of whose pages comes from `make`.
RemoteListing listing(Pages::Make make, const ListingLimits& limits = {}) {
  Pages server(std::move(make));
  return listed_keys(server, {}, limits);
}

RemoteListing listing_of(const std::string& scheme, const ScriptedServer& server) {
  RemoteOptions options;
  options.address = RemoteAddress(scheme + "://127.0.0.1:" + std::to_string(server.port()));
  options.timeout = std::chrono::seconds(20);
  std::string defect;
  const auto client = remote_server(options, defect);
  INFO(defect);
  REQUIRE(client != nullptr);
  return listed_keys(*client, options);
}

}  // namespace

TEST_CASE("the entries of all pages are listed, in order and once") {
  const RemoteListing all = listing([](const std::string& place) {
    return place.empty()  ? page({name_of({3, 3}), name_of({1, 1}), "v1-probe.lease"}, "a")
           : place == "a" ? page({}, "b")
                          : page({name_of({1, 1}), name_of({2, 2}), "v1-" + Key{2, 2}.hex() + ".lease",
                                  "v1-deeper/" + Key{4, 4}.hex() + ".kce", "v1-.kce", "v1-0.kce"});
  });
  CHECK(all.state == RemoteState::done);
  CHECK(all.failure.empty());
  CHECK(all.keys == std::vector<Key>{{1, 1}, {2, 2}, {3, 3}});
}

TEST_CASE("a server that refuses or fails says why") {
  for (const RemoteState state : {RemoteState::refused, RemoteState::failed}) {
    const RemoteListing none = listing([&](const std::string& place) {
      return place.empty() ? page({name_of({1, 1})}, "a") : RemotePage{state, {}, {}, "because"};
    });
    CHECK(none.state == state);
    CHECK(none.failure == "because");
    CHECK(none.keys.empty());
  }
}

TEST_CASE("names that no sound server lists end the list") {
  const std::pair<std::string, const char*> cases[] = {{"v1-\x1b[2J", "control character"},
                                                       {"v1-\x7f", "control character"},
                                                       {std::string("v1-\0x", 5), "control character"},
                                                       {"v1-../../etc/passwd", "with .. in it"},
                                                       {"other", "not asked for"},
                                                       {"", "not asked for"}};
  for (const auto& [name, cause] : cases) {
    const RemoteListing bad =
        listing([name = name](const std::string&) { return page({name_of({1, 1}), name}); });
    CHECK(bad.state == RemoteState::failed);
    CHECK_THAT(bad.failure, Contains(cause));
    CHECK(bad.keys.empty());
  }
}

TEST_CASE("a list without end is ended") {
  SECTION("by a place that comes again") {
    int pages = 0;
    const RemoteListing bad =
        listing([&](const std::string&) { return page({}, std::to_string(++pages % 7)); });
    CHECK(bad.state == RemoteState::failed);
    CHECK_THAT(bad.failure, Contains("circle"));
    CHECK(pages == 8);
  }
  SECTION("by the number of pages") {
    int pages = 0;
    ListingLimits limits;
    limits.pages = 50;
    const RemoteListing bad =
        listing([&](const std::string&) { return page({}, std::to_string(++pages)); }, limits);
    CHECK_THAT(bad.failure, Contains("more than 50 pages"));
    CHECK(pages == 50);
  }
  SECTION("by the number of entries") {
    std::uint64_t keys = 0;
    ListingLimits limits;
    limits.keys = 100;
    const RemoteListing bad = listing(
        [&](const std::string&) {
          ++keys;
          return page({name_of({keys, 1})}, std::to_string(keys));
        },
        limits);
    CHECK_THAT(bad.failure, Contains("more than 100 entries"));
    CHECK(keys == 101);
  }
  SECTION("by the time") {
    ListingLimits limits;
    limits.time = std::chrono::milliseconds(0);
    const RemoteListing bad = listing([](const std::string&) { return page({}, "a"); }, limits);
    CHECK_THAT(bad.failure, Contains("no end"));
  }
}

TEST_CASE("pages of a Redis that are none are refused") {
  const std::pair<const char*, const char*> cases[] = {
      {"*2\r\n$1\r\n5\r\n*0\r\n*2\r\n$1\r\n5\r\n*0\r\n", "circle"},
      {"*2\r\n$1\r\n0\r\n*1\r\n$5\r\nother\r\n", "not asked for"},
      {"*2\r\n$1\r\n0\r\n*1\r\n$13\r\nkerncast:v1-\n\r\n", "control character"},
      {"*2\r\n$1\r\n0\r\n*2000000000\r\n", "memory"},
      {"*2000000000\r\n", "memory"},
      {"*2\r\n$1\r\n0\r\n*1\r\n*1\r\n$1\r\nx\r\n", "memory"},
      {"*2\r\n$1\r\n0\r\n*1\r\n$2000000\r\nx", "too long"},
      {"*2\r\n:1\r\n*0\r\n", "other than a list"},
      {"*2\r\n$1\r\n0\r\n$1\r\nx\r\n", "other than a list"},
      {"*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", "not asked for"},
      {"$1\r\nx\r\n", "other than a list"},
      {"*-1\r\n", "other than a list"}};
  for (const auto& [answer, cause] : cases) {
    INFO(answer);
    const ScriptedServer server(answer, "");
    const RemoteListing bad = listing_of("redis", server);
    CHECK(bad.state == RemoteState::failed);
    CHECK_THAT(bad.failure, Contains(cause));
  }
  const ScriptedServer forbidding("-NOPERM this user has no permissions\r\n", "");
  CHECK(listing_of("redis", forbidding).state == RemoteState::refused);
}

TEST_CASE("plain HTTP is not asked for a list") {
  const ScriptedServer server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "");
  const RemoteListing none = listing_of("http", server);
  CHECK(none.state == RemoteState::refused);
  CHECK_THAT(none.failure, Contains("plain HTTP has no request"));
  CHECK(server.connections() == 0);
}
