// Addresses of servers: what is understood, and that no message holds a secret.
#include "cache/remote/address/remote_address.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/remote/address/remote_credentials.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "tests/cache/remote/scripted_server.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
using Catch::Matchers::Contains;

namespace {

constexpr std::chrono::milliseconds patience(500);

/// All that a cache with this server says, and its name.
std::string said_of(const RemoteOptions& remote) {
  std::string said = remote.address.name() + "\n" + remote.address.defect() + "\n";
  CacheOptions options;
  options.remote = remote;
  Cache cache(options, [&](std::string_view text) { said += std::string(text) + "\n"; });
  CHECK(!cache.load(Key{1, 1}));
  static_cast<void>(cache.publish(Key{2, 2}, sample_entry()));
  return said + remote_defect(remote);
}

/// The first request to a server whose URL is `before` + host and port + `after`, and which answers `answer`.
std::string request_to(const std::string& before, const std::string& after, const std::string& answer,
                       const std::string& credentials_file = "") {
  const ScriptedServer server(answer, "");
  RemoteOptions options{RemoteAddress(before + "127.0.0.1:" + std::to_string(server.port()) + after), true,
                        patience, credentials_file, Trust::mine};
  INFO(options.address.defect());
  std::string defect;
  const auto client = remote_server(options, defect);
  INFO(defect);
  REQUIRE(client != nullptr);
  static_cast<void>(client->get("name", Deadline::after(std::chrono::seconds(20))));
  REQUIRE(!server.requests().empty());
  return server.requests().front();
}

const std::string not_found = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

}  // namespace

TEST_CASE("the parts of a URL are told apart") {
  const RemoteAddress redis("redis://user:p@ss:w@host:1234/5");
  CHECK(redis.defect().empty());
  CHECK(redis.scheme() == RemoteScheme::redis);
  CHECK(redis.credentials().user == "user");
  CHECK(redis.credentials().password == "p@ss:w");
  CHECK(redis.host() == "host");
  CHECK(redis.port() == 1234);
  CHECK(redis.path() == "/5");
  CHECK(redis.name() == "redis://host:1234/5");
  const RemoteAddress six("redis://[::1]");
  CHECK(six.host() == "::1");
  CHECK(six.port() == 0);
  CHECK(six.name() == "redis://[::1]");
  CHECK(RemoteAddress("http://[fe80::1%eth0]:80/x").authority() == "[fe80::1%eth0]:80");
  const RemoteAddress http("https://a_b.example-1.org/some/path?token=x&y");
  CHECK(http.scheme() == RemoteScheme::https);
  CHECK(http.path() == "/some/path");
  CHECK(http.query() == "token=x&y");
  CHECK(http.name() == "https://a_b.example-1.org/some/path?***");
  CHECK(RemoteAddress("http://host/a;v=1/b;w/c").name() == "http://host/a;***");
  const RemoteAddress s3("s3://bucket/team a/b");
  CHECK(s3.host() == "bucket");
  CHECK(s3.path() == "/team a/b");
  CHECK(s3.name() == "s3://bucket/team a/b");
  CHECK(RemoteAddress().empty());
  CHECK(RemoteAddress("").empty());
  CHECK(RemoteAddress("redis://word@host").credentials().password == "word");
  CHECK(RemoteAddress("http://word@host").credentials().user == "word");
}

TEST_CASE("user and password are percent-decoded") {
  const RemoteAddress address("redis://us%65r:%2f%3F%23%40%3a%25%20%C3%A9@host");
  CHECK(address.defect().empty());
  CHECK(address.credentials().user == "user");
  CHECK(address.credentials().password == "/?#@:% \xc3\xa9");
  for (const char* bad : {"%", "%4", "%zz", "%4g", "100%", "%00", "a%%41"}) {
    for (const std::string& url :
         {std::string("redis://:") + bad + "@host", std::string("http://u:") + bad + "@h"}) {
      INFO(url);
      CHECK_THAT(RemoteAddress(url).defect(),
                 Contains("write a % as %25") && !Contains(bad + std::string("@")));
    }
  }
}

TEST_CASE("text that is no URL of a server is refused with the scheme alone") {
  for (const char* url : {"redis://", "redis://:80", "redis://host:0", "redis://host:x", "redis://host:99999",
                          "redis://host:", "redis://host/x", "redis://host/1?ssl=1", "redis://host?",
                          "rediss://host", "redis://ho st", "redis://[::1", "redis://[host]",
                          "redis://[::1]x:1", "redis://h\x01", "redis://h\xc3\xa9", "redis://a:1:2"}) {
    const RemoteAddress address(url);
    INFO(url << ": " << address.name());
    CHECK(!address.defect().empty());
    CHECK(address.name() == (url[5] == 's' ? "rediss://***" : "redis://***"));
  }
  CHECK(RemoteAddress("http://host/a@b").name() == "http://***");
  CHECK(RemoteAddress("http://host/a#b").name() == "http://***");
  CHECK(RemoteAddress("http://").name() == "http://***");
  CHECK(RemoteAddress("ftp://host").name() == "ftp://***");
  for (const char* url :
       {"nonsense", "host:6379", "user:word@redis://host", "://x", "Http://host", "hunter2://c"}) {
    CHECK(RemoteAddress(url).name() == "***");
    CHECK_THAT(RemoteAddress(url).defect(), Contains("none of the forms"));
  }
}

TEST_CASE("no message holds a secret, whatever the URL") {
  const std::string secret = "hunter2";
  std::vector<std::string> urls;
  for (const std::string scheme : {"redis://", "http://", "https://", "s3://", "rediss://", "ftp://", ""}) {
    for (const std::string mark : {"",  "/", "#",  "?", "@",  ":",       "%",   "%2F", ";",    "&", "=",
                                   "[", "]", "\\", " ", "\n", "\x1b[2J", "://", "//",  "\xff", "+"}) {
      for (const std::string& word :
           {secret + mark, mark + secret, "1" + mark + secret, secret + mark + "2"}) {
        urls.push_back(scheme + "user:" + word + "@127.0.0.1:1/x");
        urls.push_back(scheme + ":" + word + "@127.0.0.1:1");
        urls.push_back(scheme + word + ":x@127.0.0.1:1");
        urls.push_back(scheme + "user:" + word + "@");
        urls.push_back(scheme + "127.0.0.1:1/path?token=" + word);
        urls.push_back(scheme + "127.0.0.1:1/path?" + word);
        urls.push_back(scheme + "127.0.0.1:1/path?a=b&key=" + word + "#" + word);
        urls.push_back(scheme + "127.0.0.1:1/path;session=" + word);
        urls.push_back(scheme + "bucket/path?token=" + word);
      }
    }
  }
  for (const std::string& url : urls) {
    const RemoteAddress address(url);
    INFO(url);
    REQUIRE_THAT(address.name() + address.defect(), !Contains(secret));
  }
  // A part of them goes all the way to a cache. Nobody listens at port 1.
  for (std::size_t i = 0; i < urls.size(); i += 29) {
    INFO(urls[i]);
    CHECK_THAT(said_of({RemoteAddress(urls[i]), false, patience, {}, {}}), !Contains(secret));
  }
}

TEST_CASE("a server gets the decoded password") {
  const std::string redis = request_to("redis://al%69ce:p%2Fw%23%3F%40@", "/3", "+OK\r\n");
  CHECK(redis == "*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$6\r\np/w#?@\r\n");
  CHECK(request_to("redis://:p%25w@", "", "+OK\r\n") == "*2\r\n$4\r\nAUTH\r\n$3\r\np%w\r\n");
  const std::string http = request_to("http://alice:p%2Fw%23@", "/some/path/", not_found);
  CHECK_THAT(http, Catch::StartsWith("GET /some/path/name HTTP/1.1\r\n"));
  CHECK_THAT(http, Contains("Authorization: Basic YWxpY2U6cC93Iw==\r\n"));
  CHECK_THAT(http, !Contains("p%2Fw"));
}

TEST_CASE("the query of a URL is sent with each request, behind the name") {
  const std::string request = request_to("http://", "/some/path?token=abc&x=1", not_found);
  CHECK_THAT(request, Catch::StartsWith("GET /some/path/name?token=abc&x=1 HTTP/1.1\r\n"));
  CHECK_THAT(request, !Contains("Authorization"));
}

TEST_CASE("a server that repeats the password does not bring it into a message") {
  const ScriptedServer server("-ERR unknown command 'AUTH', with args beginning with: 'hunter2' \r\n", "");
  const std::string url = "redis://:hunter2@127.0.0.1:" + std::to_string(server.port());
  const std::string said = said_of({RemoteAddress(url), true, patience, {}, {}});
  CHECK_THAT(said, !Contains("hunter2"));
  CHECK_THAT(said, Contains("it refuses user and password (ERR)"));
}

TEST_CASE("credentials come from a file that only its owner may open") {
  const TemporaryDirectory folder;
  const std::string file = folder.write("netrc",
                                        "# of the fleet\n"
                                        "machine other login a password b\n"
                                        "machine 127.0.0.1\n  login alice\n  password \"p w\\\"#\"\n"
                                        "default login d password e\n");
  chmod(file.c_str(), 0600);
  CHECK(request_to("redis://", "", "+OK\r\n", file) == "*3\r\n$4\r\nAUTH\r\n$5\r\nalice\r\n$5\r\np w\"#\r\n");
  CHECK_THAT(request_to("http://", "/x", not_found, file),
             Contains("Authorization: Basic YWxpY2U6cCB3IiM=\r\n"));
  // The URL names another user, and then a password.
  CHECK_THAT(request_to("http://d@", "/x", not_found, file), Contains("Authorization: Basic ZDpl\r\n"));
  CHECK_THAT(request_to("http://u:v@", "/x", not_found, file), Contains("Authorization: Basic dTp2\r\n"));

  const RemoteAddress address("redis://127.0.0.1:1");
  for (const mode_t mode : {0640U, 0604U, 0622U}) {
    chmod(file.c_str(), mode);
    const std::string said = said_of({address, true, patience, file, Trust::mine});
    INFO(said);
    CHECK_THAT(said, Contains(file) && !Contains("p w"));
    CHECK_THAT(said, Contains("chmod 600") || Contains("others may write"));
    CHECK(find_credentials(file, Trust::everyone, address).credentials);
  }
}

TEST_CASE("a file of credentials that cannot be used is named without its text") {
  const TemporaryDirectory folder;
  const RemoteAddress address("http://host:81");
  const auto found_in = [&](const std::string& text) {
    const std::string file = folder.write("netrc", text);
    chmod(file.c_str(), 0600);
    return find_credentials(file, Trust::mine, address);
  };
  const std::pair<const char*, const char*> bad[] = {
      {"machine host login hunter2 passwd hunter2", "line 1"},
      {"\n\nhunter2 hunter2", "line 3"},
      {"login hunter2 password hunter2", "line 1"},
      {"machine host\nlogin x\npassword \"hunter2\n", "line 3"},
      {"machine host login hunter2 password", "line 1"},
      {"machine hunter2 login x password y", "no entry"},
      {"machine host:82 login x password hunter2", "no entry"},
      {"", "no entry"},
  };
  for (const auto& [text, reason] : bad) {
    const FoundCredentials found = found_in(text);
    INFO(text << ": " << found.defect);
    CHECK(!found.credentials);
    CHECK_THAT(found.defect, Contains(reason) && !Contains("hunter2"));
  }
  const FoundCredentials port =
      found_in("machine host:81 login x password y\nmachine host login z password w");
  REQUIRE(port.credentials);
  CHECK(port.credentials->user == "x");
  const FoundCredentials macro =
      found_in("macdef init\nmachine host login no password no\n\nmachine host account q password \\w");
  REQUIRE(macro.credentials);
  CHECK(macro.credentials->user.empty());
  CHECK(macro.credentials->password == "\\w");
  CHECK_THAT(find_credentials(folder.file("none"), Trust::mine, address).defect, Contains("No such file"));
  CHECK_THAT(find_credentials(folder.path(), Trust::mine, address).defect, Contains("not a regular file"));
}
