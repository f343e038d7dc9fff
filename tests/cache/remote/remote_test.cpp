// Entries are shared through servers: real ones (Redis, nginx), and one that only fails.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "cache/cache.hpp"
#include "cache/remote/server/redis_server.hpp"
#include "cache/remote/server/remote_listing.hpp"
#include "tests/cache/remote/redis_process.hpp"
#include "tests/cache/remote/server_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
using kerncast::CacheCounters;
namespace fs = std::filesystem;

namespace {

const Key key{0x0123456789abcdef, 42};

/// The cache of a machine, with its own directory and the server at `url`.
struct Machine {
  explicit Machine(const std::string& url, bool read_only = false, int timeout_ms = 2000)
      : cache(options(url, read_only, timeout_ms),
              [this](std::string_view text) { warnings.emplace_back(text); }) {}
  [[nodiscard]] CacheOptions options(const std::string& url, bool read_only, int timeout_ms) const {
    CacheOptions out;
    out.directory = folder.path();
    out.memory_bytes = 0;
    out.remote = {RemoteAddress(url), read_only, std::chrono::milliseconds(timeout_ms), {}, {}};
    return out;
  }
  TemporaryDirectory folder;
  std::vector<std::string> warnings;
  Cache cache;
};

Deadline soon() {
  return Deadline::after(std::chrono::seconds(20));
}

Entry large_entry() {
  Entry entry = sample_entry();
  entry.cubin.assign(3 << 20, '\0');
  for (std::size_t i = 0; i < entry.cubin.size(); i += 3) {
    entry.cubin[i] = static_cast<char>(i * 7);
  }
  return entry;
}

/// Checks what every kind of server must do.
void shares_entries(const std::string& url) {
  Machine writer(url);
  CHECK(!writer.cache.load(key));
  REQUIRE(writer.cache.publish(key, sample_entry()));
  REQUIRE(writer.cache.publish({2, 2}, large_entry()));
  CHECK(writer.cache.counters().remote_puts == 2);

  Machine reader(url, true);
  const Hit hit = reader.cache.load(key);
  REQUIRE(hit.layer == Layer::remote);
  CHECK(*hit.entry == sample_entry());
  // The copy names the server, and the server was told when the entry was compiled.
  REQUIRE(hit.entry->provenance);
  CHECK(hit.entry->provenance->source == CopySource::server);
  CHECK(hit.entry->provenance->from == RemoteAddress(url).name());
  CHECK(hit.entry->provenance->compiled_s > 0);
  CHECK(*reader.cache.load({2, 2}).entry == large_entry());
  CHECK(reader.cache.load(key).layer == Layer::directory);
  CHECK(!reader.cache.load({3, 3}));
  REQUIRE(reader.cache.publish({3, 3}, sample_entry()));
  const CacheCounters counted = reader.cache.counters();
  CHECK(counted.remote_hits == 2);
  CHECK(counted.promoted == 2);
  CHECK(counted.remote_puts == 0);
  CHECK(counted.remote_failures == 0);
  CHECK(!Machine(url).cache.load({3, 3}));
  CHECK(writer.warnings.empty());
  CHECK(reader.warnings.empty());
}

/// Checks that bad entries are not used. `spoil` replaces the entry of `key` on the server by other bytes.
template <class Spoil>
void serves_nothing_wrong(const std::string& url, Spoil&& spoil) {
  const std::string good = serialise(key, sample_entry());
  const std::string bad[] = {"", "garbage", good.substr(0, good.size() - 1), good + "x",
                             serialise({9, 9}, sample_entry())};
  std::string flipped = good;
  flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 1);
  std::vector<std::string> all(std::begin(bad), std::end(bad));
  all.push_back(flipped);
  for (const std::string& bytes : all) {
    INFO("of " << bytes.size() << " bytes");
    spoil(bytes);
    Machine machine(url);
    CHECK(!machine.cache.load(key));
    CHECK(machine.cache.counters().refused == 1);
    CHECK(machine.warnings.size() == 1);
    // The next compile replaces the bad entry.
    REQUIRE(machine.cache.publish(key, sample_entry()));
    CHECK(Machine(url).cache.load(key).layer == Layer::remote);
  }
}

class Nginx {
 public:
  Nginx() : port_(free_port()) {
    fs::create_directories(folder_.path() + "/root");
    // Workers of an nginx that root starts run as another user.
    fs::permissions(folder_.path(), fs::perms::all);
    fs::permissions(folder_.path() + "/root", fs::perms::all);
    std::ofstream(folder_.path() + "/nginx.conf")
        << "daemon off; error_log " << folder_.path() << "/error.log; pid " << folder_.path() << "/pid;\n"
        << "events {}\nhttp { access_log off; client_body_temp_path " << folder_.path() << "/body;\n"
        << "proxy_temp_path " << folder_.path() << "/proxy; fastcgi_temp_path " << folder_.path()
        << "/fastcgi; uwsgi_temp_path " << folder_.path() << "/uwsgi; scgi_temp_path " << folder_.path()
        << "/scgi;\nserver { listen 127.0.0.1:" << port_ << "; root " << folder_.path()
        << "/root; client_max_body_size 300m;\nlocation /cache/ { dav_methods PUT; create_full_put_path on; "
           "}\n"
        << "location /fixed/ { alias " << folder_.path() << "/root/cache/; }\n"
        << "location /broken/ { return 500; }\nlocation /forbidden/ { return 403; } } }\n";
    process_.emplace(std::vector<std::string>{"/usr/sbin/nginx", "-c", folder_.path() + "/nginx.conf", "-e",
                                              folder_.path() + "/error.log"},
                     port_);
  }
  ~Nginx() {
    // The master process ends its workers if it is asked to, but not if it is killed.
    if (process_->started()) {
      kill(process_->id(), SIGTERM);
      for (int i = 0; i < 500 && answers(port_); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  }
  Nginx(const Nginx&) = delete;
  Nginx& operator=(const Nginx&) = delete;
  [[nodiscard]] static bool installed() {
    if (!fs::exists("/usr/sbin/nginx")) {
      WARN("nginx is not installed: the case was not tried");
      return false;
    }
    return true;
  }
  [[nodiscard]] std::string url(const std::string& place) const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/" + place;
  }
  [[nodiscard]] std::string file(const Key& of) const {
    return folder_.path() + "/root/cache/v1-" + of.hex() + ".kce";
  }
  [[nodiscard]] bool started() const { return process_->started(); }

 private:
  TemporaryDirectory folder_;
  int port_;
  std::optional<ServerProcess> process_;
};

/// A server that fails every request and counts the requests.
struct Dead : RemoteServer {
  explicit Dead(int& count) : requests(count) {}
  RemoteAnswer get(const std::string&, const Deadline&) override {
    ++requests;
    return {RemoteState::failed, {}, "dead"};
  }
  RemoteAnswer put(const std::string&, std::string_view, const Deadline&) override {
    ++requests;
    return {RemoteState::failed, {}, "dead"};
  }
  RemoteAnswer claim(const LeaseClaim&, const Deadline&) override {
    ++requests;
    return {RemoteState::failed, {}, "dead"};
  }
  RemoteAnswer release(const std::string&, const std::string&, const Deadline&) override {
    ++requests;
    return {RemoteState::failed, {}, "dead"};
  }
  int& requests;
};

/// A server that keeps names only, and counts the requests to fetch something.
struct Names : RemoteServer {
  Names(std::set<std::string>& kept, int& count) : names(kept), fetched(count) {}
  RemoteAnswer get(const std::string&, const Deadline&) override {
    ++fetched;
    return {RemoteState::absent, {}, {}};
  }
  RemoteAnswer has(const std::string& name, const Deadline&) override {
    return {names.contains(name) ? RemoteState::done : RemoteState::absent, {}, {}};
  }
  RemoteAnswer put(const std::string& name, std::string_view, const Deadline&) override {
    names.insert(name);
    return {RemoteState::done, {}, {}};
  }
  RemoteAnswer claim(const LeaseClaim&, const Deadline&) override {
    return {RemoteState::refused, {}, "no leases"};
  }
  RemoteAnswer release(const std::string&, const std::string&, const Deadline&) override { return {}; }
  std::set<std::string>& names;
  int& fetched;
};

}  // namespace

TEST_CASE("entries are shared through Redis") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  REQUIRE(redis.started());
  shares_entries(redis.url());
  // Each database is a cache of its own.
  CHECK(!Machine(redis.url("", "/3")).cache.load(key));
}

TEST_CASE("Redis lists the entries among everything else that it holds") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  REQUIRE(redis.started());
  const RemoteOptions options{RemoteAddress(redis.url()), false, std::chrono::seconds(20), {}, {}};
  const auto server = redis_server(options, {});
  CHECK(listed_keys(*server, options).state == RemoteState::done);
  CHECK(listed_keys(*server, options).keys.empty());
  std::vector<Key> all;
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    all.push_back({i, 7});
    REQUIRE(server->put(object_name(all.back()), "bytes", soon()).state == RemoteState::done);
  }
  CHECK(server
            ->evaluate("for i = 1, 5000 do redis.call('SET', 'other' .. i, i) end "
                       "redis.call('SET', 'kerncast:v1-probe.lease', 'x') return 'done'",
                       "none", {}, soon())
            .state == RemoteState::done);
  const RemoteListing listing = listed_keys(*server, options);
  INFO(listing.failure);
  CHECK(listing.state == RemoteState::done);
  CHECK(listing.keys == all);
  CHECK(server->remove(object_name(all.front()), soon()).state == RemoteState::done);
  CHECK(server->remove(object_name(all.front()), soon()).state == RemoteState::done);
  CHECK(server->get(object_name(all.front()), soon()).state == RemoteState::absent);
  CHECK(server->has(object_name(all.front()), soon()).state == RemoteState::absent);
  CHECK(server->has(object_name(all.back()), soon()).state == RemoteState::done);
  CHECK(listed_keys(*server, options).keys.size() == all.size() - 1);
}

TEST_CASE("a password is asked for and given") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis("secret");
  REQUIRE(redis.started());
  shares_entries(redis.url(":secret@"));
  Machine wrong(redis.url(":wrong@"));
  CHECK(!wrong.cache.load(key));
  REQUIRE(wrong.warnings.size() == 1);
  CHECK_THAT(wrong.warnings[0], !Catch::Contains("wrong@"));
  CHECK(wrong.cache.counters().remote_failures == 1);
}

TEST_CASE("what Redis holds in an entry's place is refused and replaced") {
  if (!Redis::installed()) {
    return;
  }
  const Redis redis;
  REQUIRE(redis.started());
  serves_nothing_wrong(redis.url(), [&](const std::string& bytes) {
    const std::string name = "v1-" + key.hex() + ".kce";
    REQUIRE(redis_server({RemoteAddress(redis.url()), false, std::chrono::seconds(2), {}, {}}, {})
                ->put(name, bytes.empty() ? std::string_view("\0", 1) : std::string_view(bytes), soon())
                .state == RemoteState::done);
  });
}

TEST_CASE("entries are shared through nginx") {
  if (!Nginx::installed()) {
    return;
  }
  const Nginx nginx;
  REQUIRE(nginx.started());
  shares_entries(nginx.url("cache/"));
  shares_entries(nginx.url("cache/deeper/down"));
}

TEST_CASE("what nginx holds in an entry's place is refused and replaced") {
  if (!Nginx::installed()) {
    return;
  }
  const Nginx nginx;
  REQUIRE(nginx.started());
  REQUIRE(Machine(nginx.url("cache")).cache.publish(key, sample_entry()));
  serves_nothing_wrong(nginx.url("cache"), [&](const std::string& bytes) {
    fs::remove(nginx.file(key));
    std::ofstream(nginx.file(key)) << bytes;
    fs::permissions(nginx.file(key), fs::perms::owner_all | fs::perms::others_read);
  });
}

TEST_CASE("a server that takes no uploads still serves hits") {
  if (!Nginx::installed()) {
    return;
  }
  const Nginx nginx;
  REQUIRE(nginx.started());
  REQUIRE(Machine(nginx.url("cache")).cache.publish(key, sample_entry()));
  Machine machine(nginx.url("fixed"));
  REQUIRE(machine.cache.publish({2, 2}, sample_entry()));
  REQUIRE(machine.cache.publish({3, 3}, sample_entry()));
  CHECK(machine.cache.counters().remote_failures == 1);
  CHECK(machine.warnings.size() == 1);
  CHECK(machine.cache.load(key).layer == Layer::remote);
}

TEST_CASE("errors of a server cost one request and one warning") {
  if (!Nginx::installed()) {
    return;
  }
  const Nginx nginx;
  REQUIRE(nginx.started());
  for (const char* place : {"broken", "forbidden"}) {
    Machine machine(nginx.url(place), true);
    CHECK(!machine.cache.load(key));
    CHECK(!machine.cache.load(key));
    CHECK(machine.cache.counters().remote_failures == 1);
    REQUIRE(machine.warnings.size() == 1);
    CHECK_THAT(machine.warnings[0], Catch::Contains("HTTP "));
  }
}

TEST_CASE("a dead server costs one request, then nothing") {
  int requests = 0;
  std::vector<std::string> warnings;
  WarnOnce warn([&](std::string_view text) { warnings.emplace_back(text); });
  Counters counters;
  RemoteStore store(std::make_unique<Dead>(requests),
                    {RemoteAddress("http://dead"), false, std::chrono::seconds(1), {}, {}}, warn, counters);
  WaitBudget budget{std::chrono::seconds(20)};
  for (int i = 0; i < 100; ++i) {
    CHECK(!store.load(key, budget).entry);
  }
  CHECK(requests == 1);
  for (int i = 0; i < 100; ++i) {
    store.put(key, sample_entry(), budget);
  }
  CHECK(requests == 2);
  CHECK(warnings.size() == 1);
  CHECK(counters.sum().remote_failures == 2);
}

TEST_CASE("what a machine has is uploaded where the server lacks it, and nothing is fetched") {
  std::set<std::string> names{object_name({2, 2})};
  int fetched = 0;
  int loaded = 0;
  WarnOnce warn([](std::string_view) {});
  Counters counters;
  RemoteStore store(std::make_unique<Names>(names, fetched),
                    {RemoteAddress("http://names"), false, std::chrono::seconds(1), {}, {}}, warn, counters);
  WaitBudget budget{std::chrono::seconds(20)};
  const auto load = [&] {
    ++loaded;
    return std::make_shared<const Entry>(sample_entry());
  };
  store.share({2, 2}, load, budget);
  CHECK(loaded == 0);
  store.share({1, 1}, load, budget);
  CHECK(loaded == 1);
  CHECK(names.contains(object_name({1, 1})));
  store.share({3, 3}, [] { return nullptr; }, budget);
  CHECK(names.size() == 2);
  CHECK(fetched == 0);
  CHECK(counters.sum().remote_puts == 1);
}

TEST_CASE("nobody listening, and a server that hangs, cost one failure") {
  Machine nobody("http://127.0.0.1:" + std::to_string(free_port()), false, 200);
  CHECK(!nobody.cache.load(key));
  CHECK(!nobody.cache.load(key));
  CHECK(nobody.cache.counters().remote_failures == 1);
  Machine no_redis("redis://127.0.0.1:" + std::to_string(free_port()), false, 200);
  CHECK(!no_redis.cache.load(key));
  CHECK(no_redis.cache.publish(key, sample_entry()));
  CHECK(no_redis.cache.counters().remote_failures == 2);

  if (!Redis::installed()) {
    return;
  }
  Redis redis;
  REQUIRE(redis.started());
  REQUIRE(Machine(redis.url()).cache.publish(key, sample_entry()));
  kill(redis.process().id(), SIGSTOP);
  Machine hanging(redis.url(), false, 200);
  CHECK(!hanging.cache.load(key));
  CHECK(!hanging.cache.load({2, 2}));
  CHECK(hanging.cache.counters().remote_failures == 1);
  // A stopped process still accepts connections, but does not answer.
  Machine silent("http" + redis.url().substr(5), false, 200);
  CHECK(!silent.cache.load(key));
  CHECK(silent.cache.counters().remote_failures == 1);
}

TEST_CASE("a server that goes away and comes back between two requests is connected to again") {
  if (!Redis::installed()) {
    return;
  }
  Redis redis;
  REQUIRE(redis.started());
  Machine machine(redis.url());
  REQUIRE(machine.cache.publish(key, sample_entry()));
  const RemoteAddress address(redis.url());
  const auto server = redis_server({address, false, std::chrono::seconds(2), {}, {}}, {});
  CHECK(server->get("none", soon()).state == RemoteState::absent);
  redis.process().stop();
  CHECK(server->get("none", soon()).state == RemoteState::failed);
  const ServerProcess again({"/usr/bin/redis-server", "--port", std::to_string(address.port()), "--save", ""},
                            address.port());
  REQUIRE(again.started());
  CHECK(server->get("none", soon()).state == RemoteState::absent);
}

TEST_CASE("a circuit breaker pauses longer after each failure and closes at a success") {
  using std::chrono::seconds;
  CircuitBreaker breaker;
  auto now = CircuitBreaker::Clock::time_point(seconds(1000));
  CHECK(breaker.allows(now));
  breaker.failed(now);
  CHECK(!breaker.allows(now + seconds(59)));
  now += seconds(61);
  CHECK(breaker.allows(now));
  CHECK(!breaker.allows(now));
  breaker.failed(now);
  CHECK(!breaker.allows(now + seconds(119)));
  now += seconds(121);
  CHECK(breaker.allows(now));
  breaker.succeeded();
  CHECK(breaker.allows(now));
  CHECK(breaker.allows(now));
  for (int i = 0; i < 100; ++i) {
    breaker.failed(now);
  }
  CHECK(!breaker.allows(now + seconds(3599)));
  CHECK(breaker.allows(now + seconds(3601)));
}
