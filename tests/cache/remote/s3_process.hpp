#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/cache/remote/server_process.hpp"

/// The account that an S3 server knows. With a token, requests must have it too.
struct S3Account {
  std::string key = "key";
  std::string secret = "secret";
  std::string token;
  std::string region = "eu-north-1";
};

/// The script s3_server.py on a port of its own. It checks the signature of each request, and ends with the
/// object.
class S3 {
 public:
  explicit S3(const S3Account& account = {}) : port_(free_port()), process_(words(account, port_), port_) {}

  /// False, with a message, if this machine has no Python.
  [[nodiscard]] static bool installed() {
    if (!std::filesystem::exists("/usr/bin/python3")) {
      WARN("python3 is not installed: the case was not tried");
      return false;
    }
    return true;
  }
  /// The variable that names the server, and its value.
  [[nodiscard]] std::pair<std::string, std::string> endpoint() const {
    return {"AWS_ENDPOINT_URL", "http://127.0.0.1:" + std::to_string(port_) + "/"};
  }
  [[nodiscard]] bool started() const { return process_.started(); }
  ServerProcess& process() { return process_; }

 private:
  static std::vector<std::string> words(const S3Account& account, int port) {
    std::vector<std::string> out{"/usr/bin/python3", S3_SERVER,      std::to_string(port),
                                 account.key,        account.secret, account.region};
    if (!account.token.empty()) {
      out.push_back(account.token);
    }
    return out;
  }
  int port_;
  ServerProcess process_;
};
