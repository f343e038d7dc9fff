// Entries are shared through an S3 server that checks every signature.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "cache/cache.hpp"
#include "cache/remote/http_server.hpp"
#include "tests/cache/remote/s3_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;

namespace {

constexpr const char* names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
                                 "AWS_REGION",        "AWS_DEFAULT_REGION",    "AWS_ENDPOINT_URL"};

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
