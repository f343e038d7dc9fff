// Fuzzes the answers of remote servers. The first byte of an input says whether a Redis, an HTTP server or an
// S3 server gives it. See tools/dev/fuzz.sh.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "cache/entry.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/remote/address/remote_address.hpp"
#include "cache/remote/server/remote_listing.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "tests/cache/fuzz/sample_mutator.hpp"

namespace cache = kerncast::cache;

namespace {

/// A server on this machine that gives each connection one answer and closes it. It lives as long as the
/// process.
class AnsweringServer {
 public:
  AnsweringServer() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        listen(socket_.get(), 64) != 0 ||
        getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::abort();
    }
    port_ = ntohs(address.sin_port);
    std::thread([this] { serve(); }).detach();
  }
  [[nodiscard]] int port() const { return port_; }
  void answer_with(std::string answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }

 private:
  void serve() {
    while (true) {
      const cache::Descriptor client(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::array<char, 4096> request{};
      if (!client.valid() || recv(client.get(), request.data(), request.size(), 0) <= 0) {
        continue;
      }
      const std::lock_guard lock(mutex_);
      send(client.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
  }

  cache::Descriptor socket_;
  int port_ = 0;
  std::mutex mutex_;
  std::string answer_;
};

AnsweringServer& server() {
  static auto* const server = new AnsweringServer;
  return *server;
}

void check(const cache::RemoteAnswer& answer) {
  const bool failed =
      answer.state == cache::RemoteState::failed || answer.state == cache::RemoteState::refused;
  if (failed == answer.failure.empty() || answer.bytes.size() > cache::max_entry_bytes ||
      (answer.state != cache::RemoteState::done && !answer.bytes.empty())) {
    std::abort();
  }
}

void check(const cache::RemoteListing& listing) {
  if ((listing.state == cache::RemoteState::done) != listing.failure.empty() ||
      (listing.state != cache::RemoteState::done && !listing.keys.empty())) {
    std::abort();
  }
}

/// The URL of the server as the first byte of an input says.
std::string url_for(std::uint8_t kind) {
  const std::string place = "127.0.0.1:" + std::to_string(server().port());
  if ((kind & 1) != 0) {
    return "redis://" + place;
  }
  if ((kind & 2) == 0) {
    return "http://" + place;
  }
  setenv("AWS_ACCESS_KEY_ID", "key", 1);
  setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
  setenv("AWS_ENDPOINT_URL", ("http://" + place).c_str(), 1);
  return "s3://bucket/team";
}

constexpr std::array<const char*, 8> good_answers{
    "\1$5\r\nentry\r\n",
    "\1$-1\r\n",
    "\0HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nentry",
    "\0HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nentry\r\n0\r\n\r\n",
    "\1:1\r\n",
    "\1*2\r\n$1\r\n7\r\n*2\r\n$19\r\nkerncast:v1-x.lease\r\n"
    "$48\r\nkerncast:v1-0123456789abcdef0123456789abcdef.kce\r\n",
    "\2HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\">"
    "<IsTruncated>true</IsTruncated><Contents><Key>team/v1-0123456789abcdef0123456789abcdef.kce</Key></"
    "Contents>"
    "<NextContinuationToken>a&amp;&#98;</NextContinuationToken></ListBucketResult>",
    "\0HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n"};

}  // namespace

extern "C" {

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  server().answer_with(std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  cache::RemoteOptions options;
  options.address = cache::RemoteAddress(url_for(data[0]));
  std::string defect;
  const std::unique_ptr<cache::RemoteServer> remote = cache::remote_server(options, defect);
  if (remote == nullptr) {
    std::abort();
  }
  check(remote->get("v1-name.kce", cache::Deadline::after(options.request_time())));
  check(remote->put("v1-name.kce", "bytes", cache::Deadline::after(options.request_time())));
  check(remote->claim({"v1-name.lease", "token", options.lease, false},
                      cache::Deadline::after(options.request_time())));
  check(remote->release("v1-name.lease", "token", cache::Deadline::after(options.request_time())));
  check(remote->remove("v1-name.kce", cache::Deadline::after(options.request_time())));
  check(cache::listed_keys(*remote, options, {3, 100, options.request_time()}));
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  // The first byte of a sample may be zero.
  const char* const good = good_answers[seed % good_answers.size()];
  return mutate_from({good, 1 + std::strlen(good + 1)}, data, size, most);
}

}  // extern "C"
