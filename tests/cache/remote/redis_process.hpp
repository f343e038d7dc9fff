#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/cache/remote/server_process.hpp"
#include "tests/temporary_directory.hpp"

/// A Redis on this machine, on a port of its own and without a database on disk. It ends with the object.
class Redis {
 public:
  explicit Redis(const std::string& password = "")
      : port_(free_port()), process_(words(folder_.path(), port_, password), port_) {}

  /// False, with a message, if this machine has no Redis.
  [[nodiscard]] static bool installed() {
    if (!std::filesystem::exists("/usr/bin/redis-server")) {
      WARN("redis-server is not installed: the case was not tried");
      return false;
    }
    return true;
  }
  /// `credentials` ends with "@", `database` begins with "/".
  [[nodiscard]] std::string url(const std::string& credentials = "", const std::string& database = "") const {
    return "redis://" + credentials + "127.0.0.1:" + std::to_string(port_) + database;
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] bool started() const { return process_.started(); }
  ServerProcess& process() { return process_; }

 private:
  static std::vector<std::string> words(const std::string& folder, int port, const std::string& password) {
    std::vector<std::string> out{"/usr/bin/redis-server",
                                 "--port",
                                 std::to_string(port),
                                 "--bind",
                                 "127.0.0.1",
                                 "--save",
                                 "",
                                 "--dir",
                                 folder,
                                 "--daemonize",
                                 "no"};
    if (!password.empty()) {
      out.insert(out.end(), {"--requirepass", password});
    }
    return out;
  }
  TemporaryDirectory folder_;
  int port_;
  ServerProcess process_;
};
