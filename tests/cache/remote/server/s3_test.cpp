// Entries are shared through an S3 server that checks every signature.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "cache/cache.hpp"
#include "cache/remote/server/http_server.hpp"
#include "cache/remote/server/remote_listing.hpp"
#include "tests/cache/remote/s3_process.hpp"
#include "tests/cache/remote/scripted_server.hpp"
#include "tests/cache/remote/server_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {

constexpr const char* names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                 "AWS_REGION",        "AWS_DEFAULT_REGION",    "AWS_ENDPOINT_URL"};

/// The variables of S3 as the caller of the program has set them, before a case changes them.
const std::vector<std::pair<std::string, std::string>> given_environment = [] {
  std::vector<std::pair<std::string, std::string>> given;
  for (const char* name : names) {
    if (const char* value = std::getenv(name); value != nullptr) {
      given.emplace_back(name, value);
    }
  }
  return given;
}();

/// Sets the given environment variables of S3 and unsets the others.
void set_environment(const std::vector<std::pair<std::string, std::string>>& values) {
  for (const char* name : names) {
    unsetenv(name);
  }
  for (const auto& [name, value] : values) {
    setenv(name.c_str(), value.c_str(), 1);
  }
}

const std::vector<std::pair<std::string, std::string>> keys{
    {"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"}, {"AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY"}};

std::vector<std::pair<std::string, std::string>> with(std::vector<std::pair<std::string, std::string>> more) {
  more.insert(more.end(), keys.begin(), keys.end());
  return more;
}

S3Account account(const std::string& token = "") {
  return {keys[0].second, keys[1].second, token};
}

RemoteOptions options_of(const std::string& url) {
  return {RemoteAddress(url), false, std::chrono::seconds(5), {}, {}};
}

bool address_of(const std::string& url, S3Address& address, std::string& defect) {
  return find_s3_address(options_of(url), address, defect);
}

RemoteAnswer got(const std::string& url, const std::string& name) {
  std::string defect;
  const auto server = remote_server(options_of(url), defect);
  REQUIRE(server != nullptr);
  return server->get(name, Deadline::after(std::chrono::seconds(20)));
}

RemoteAnswer put(const std::string& url, const std::string& name, const std::string& bytes) {
  std::string defect;
  const auto server = remote_server(options_of(url), defect);
  REQUIRE(server != nullptr);
  return server->put(name, bytes, Deadline::after(std::chrono::seconds(20)));
}

}  // namespace

TEST_CASE("an independent S3 server does what the cache asks of one") {
  const char* const named = std::getenv("KERNCAST_TEST_S3_URL");
  if (named == nullptr) {
    return;
  }
  const std::string place = named;
  const std::size_t slash = place.rfind('/');
  REQUIRE(slash != std::string::npos);
  std::vector<std::pair<std::string, std::string>> values = given_environment;
  values.emplace_back("AWS_ENDPOINT_URL", place.substr(0, slash));
  set_environment(values);
  const RemoteOptions options =
      options_of("s3://" + place.substr(slash + 1) + "/kerncast test " + std::to_string(getpid()));
  std::string defect;
  const auto server = remote_server(options, defect);
  INFO(defect);
  REQUIRE(server != nullptr);
  const auto soon = [] { return Deadline::after(std::chrono::seconds(60)); };
  const Key first{1, 9};
  CHECK(server->get(object_name(first), soon()).state == RemoteState::absent);
  CHECK(server->has(object_name(first), soon()).state == RemoteState::absent);
  CHECK(listed_keys(*server, options).state == RemoteState::done);
  // More objects than a page has.
  std::vector<Key> all;
  for (std::uint64_t i = 1; i <= 1005; ++i) {
    all.push_back({i, 9});
    REQUIRE(server->put(object_name(all.back()), "bytes", soon()).state == RemoteState::done);
  }
  CHECK(server->get(object_name(first), soon()).bytes == "bytes");
  CHECK(server->has(object_name(first), soon()).state == RemoteState::done);
  const RemoteListing listing = listed_keys(*server, options);
  INFO(listing.failure);
  CHECK(listing.keys == all);
  for (const Key& key : all) {
    REQUIRE(server->remove(object_name(key), soon()).state == RemoteState::done);
  }
  CHECK(listed_keys(*server, options).keys.empty());

  LeaseClaim claim{"v1-x.lease", "mine 60000", std::chrono::seconds(60), false};
  CHECK(server->claim(claim, soon()).state == RemoteState::done);
  CHECK(server->claim(claim, soon()).state == RemoteState::taken);
  CHECK(server->release(claim.name, "another", soon()).state == RemoteState::done);
  CHECK(server->get(claim.name, soon()).bytes == "mine 60000");
  claim.take_over = true;
  claim.token = "theirs";
  CHECK(server->claim(claim, soon()).state == RemoteState::done);
  CHECK(server->release(claim.name, "theirs", soon()).state == RemoteState::done);
  CHECK(server->get(claim.name, soon()).state == RemoteState::absent);
  CHECK(server->remove("v1-probe.lease", soon()).state == RemoteState::done);
}

TEST_CASE("signed requests put and get objects of any size under a prefix that needs encoding") {
  if (!S3::installed()) {
    return;
  }
  for (const std::string token : {"", "FwoGZXIvYXdzE//token=="}) {
    const S3 s3(account(token));
    REQUIRE(s3.started());
    set_environment(with({s3.endpoint(), {"AWS_REGION", "eu-north-1"}, {"AWS_SESSION_TOKEN", token}}));
    const std::string url = "s3://kernels/team a/b+c=d/";
    CHECK(got(url, "x").state == RemoteState::absent);
    std::string bytes(3 << 20, '\0');
    for (std::size_t i = 0; i < bytes.size(); i += 5) {
      bytes[i] = static_cast<char>(i);
    }
    for (const std::string& body : {bytes, std::string("small"), std::string("zero\0byte", 9)}) {
      CHECK(put(url, "x", body).state == RemoteState::done);
      const RemoteAnswer answer = got(url, "x");
      CHECK(answer.state == RemoteState::done);
      CHECK(answer.bytes == body);
    }
    CHECK(got("s3://kernels", "x").state == RemoteState::absent);
  }
}

TEST_CASE("the entries below a prefix are listed, page by page") {
  if (!S3::installed()) {
    return;
  }
  setenv("S3_PAGE", "3", 1);
  const S3 s3(account());
  unsetenv("S3_PAGE");
  REQUIRE(s3.started());
  set_environment(with({s3.endpoint(), {"AWS_REGION", "eu-north-1"}}));
  for (const std::string url : {"s3://kernels", "s3://kernels/team a/b+c=d&e/"}) {
    const RemoteOptions options = options_of(url);
    std::string defect;
    const auto server = remote_server(options, defect);
    REQUIRE(server != nullptr);
    const auto soon = [] { return Deadline::after(std::chrono::seconds(20)); };
    CHECK(listed_keys(*server, options).keys.empty());
    CHECK(server->has("v1-probe.lease", soon()).state == RemoteState::absent);
    std::vector<Key> all;
    for (std::uint64_t i = 1; i <= 8; ++i) {
      all.push_back({i, 5});
      CHECK(server->put(object_name(all.back()), "bytes", soon()).state == RemoteState::done);
    }
    CHECK(server->put("v1-probe.lease", "probe", soon()).state == RemoteState::done);
    CHECK(server->has("v1-probe.lease", soon()).state == RemoteState::done);
    const RemoteListing listing = listed_keys(*server, options);
    INFO(listing.failure);
    CHECK(listing.state == RemoteState::done);
    CHECK(listing.keys == all);
    CHECK(server->remove(object_name(all.front()), soon()).state == RemoteState::done);
    CHECK(server->remove(object_name(all.front()), soon()).state == RemoteState::done);
    CHECK(listed_keys(*server, options).keys.size() == 7);
  }
  // Objects of a longer prefix are not those of this one.
  const RemoteOptions options = options_of("s3://kernels");
  std::string defect;
  CHECK(listed_keys(*remote_server(options, defect), options).keys.size() == 7);
}

TEST_CASE("lists of S3 that are none, or that may not be read, are told apart") {
  const auto listing_of = [](const std::string& answer) {
    const ScriptedServer server(answer, "");
    set_environment(with({{"AWS_ENDPOINT_URL", "http://127.0.0.1:" + std::to_string(server.port())}}));
    const RemoteOptions options = options_of("s3://kernels/v");
    std::string defect;
    return listed_keys(*remote_server(options, defect), options);
  };
  const auto page = [](const std::string& inside) {
    const std::string xml = "<ListBucketResult>" + inside + "</ListBucketResult>";
    return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(xml.size()) +
           "\r\n\r\n" + xml;
  };
  const std::pair<std::string, const char*> cases[] = {
      {page("<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>"), "circle"},
      {page("<IsTruncated>false</IsTruncated><Contents><Key>v/v1-&#10;</Key></Contents>"),
       "control character"},
      {page("<IsTruncated>false</IsTruncated><Contents><Key>v/v1-../x</Key></Contents>"), "with .. in it"},
      {page("<IsTruncated>false</IsTruncated><Contents><Key>v1-x</Key></Contents>"), "not asked for"},
      {page("<IsTruncated>true</IsTruncated>"), "cannot be read"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + std::string(17 << 20, 'x'), "too long"},
      {"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP 404"}};
  for (const auto& [answer, cause] : cases) {
    const RemoteListing bad = listing_of(answer);
    CHECK(bad.state == RemoteState::failed);
    CHECK_THAT(bad.failure, Catch::Contains(cause));
    CHECK(bad.keys.empty());
  }
  const RemoteListing forbidden =
      listing_of("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  CHECK(forbidden.state == RemoteState::refused);
  CHECK(forbidden.failure == "HTTP 403");
}

TEST_CASE("a cache shares its entries through S3") {
  if (!S3::installed()) {
    return;
  }
  const S3 s3(account());
  REQUIRE(s3.started());
  set_environment(with({s3.endpoint(), {"AWS_DEFAULT_REGION", "eu-north-1"}}));
  const TemporaryDirectory writer;
  const TemporaryDirectory reader;
  CacheOptions options;
  options.remote = options_of("s3://kernels/v");
  std::vector<std::string> warnings;
  const auto warn = [&](std::string_view text) { warnings.emplace_back(text); };
  options.directory = writer.path();
  REQUIRE(Cache(options, warn).publish({1, 2}, sample_entry()));
  options.directory = reader.path();
  Cache cache(options, warn);
  const Hit hit = cache.load({1, 2});
  REQUIRE(hit.layer == Layer::remote);
  CHECK(*hit.entry == sample_entry());
  CHECK(!cache.load({3, 4}));
  CHECK(warnings.empty());
}

TEST_CASE("a wrong secret, region or token is refused by the server") {
  if (!S3::installed()) {
    return;
  }
  const S3 s3(account("token"));
  REQUIRE(s3.started());
  const std::pair<std::string, std::string> region{"AWS_REGION", "eu-north-1"};
  const std::pair<std::string, std::string> token{"AWS_SESSION_TOKEN", "token"};
  set_environment(with({s3.endpoint(), region, token}));
  CHECK(put("s3://kernels/v", "x", "bytes").state == RemoteState::done);
  for (const auto& wrong :
       {with({s3.endpoint(), region}), with({s3.endpoint(), region, {"AWS_SESSION_TOKEN", "other"}}),
        with({s3.endpoint(), token, {"AWS_REGION", "us-east-1"}}),
        std::vector<std::pair<std::string, std::string>>{
            s3.endpoint(), region, token, keys[0], {"AWS_SECRET_ACCESS_KEY", "other"}}}) {
    set_environment(wrong);
    CHECK(put("s3://kernels/v", "x", "bytes").failure == "HTTP 403");
    CHECK(got("s3://kernels/v", "x").failure == "HTTP 403");
  }
}

TEST_CASE("an S3 URL gives the address of its objects") {
  S3Address address;
  std::string defect;
  set_environment(keys);
  REQUIRE(address_of("s3://my-bucket/a b/c/", address, defect));
  CHECK(address.url == "https://my-bucket.s3.us-east-1.amazonaws.com/a%20b/c");
  CHECK(address.signing == "aws:amz:us-east-1:s3");
  CHECK(address.session_token.empty());
  REQUIRE(address_of("s3://my.bucket", address, defect));
  CHECK(address.url == "https://s3.us-east-1.amazonaws.com/my.bucket");
  set_environment(with({{"AWS_ENDPOINT_URL", "http://minio:9000/"}, {"AWS_REGION", "eu-west-3"}}));
  REQUIRE(address_of("s3://bucket/p", address, defect));
  CHECK(address.url == "http://minio:9000/bucket/p");
  CHECK(address.signing == "aws:amz:eu-west-3:s3");

  for (const char* url :
       {"s3://", "s3:///x", "s3://UPPER/x", "s3://a/x", "s3://-bucket", "s3://user@bucket"}) {
    CHECK(remote_server(options_of(url), defect) == nullptr);
    CHECK_THAT(defect, Catch::Contains("s3://bucket/prefix"));
  }
  set_environment(with({{"AWS_ENDPOINT_URL", "ftp://minio"}}));
  CHECK(!address_of("s3://bucket", address, defect));
  CHECK_THAT(defect, Catch::Contains("AWS_ENDPOINT_URL"));
  set_environment(with({{"AWS_REGION", "eu/../x"}}));
  CHECK(!address_of("s3://bucket", address, defect));
  CHECK_THAT(defect, Catch::Contains("AWS_REGION"));
  set_environment({});
  CHECK(remote_server(options_of("s3://bucket"), defect) == nullptr);
  CHECK_THAT(defect, Catch::Contains("AWS_ACCESS_KEY_ID"));
  CHECK(remote_server(options_of("rediss://host"), defect) == nullptr);
  CHECK_THAT(defect, Catch::Contains("TLS"));
}
