#pragma once

#include <memory>
#include <string>

#include "cache/remote/remote_server.hpp"

namespace kerncast::cache {

/// "redis://[[user]:password@]host[:port][/database]" taken apart.
struct RedisAddress {
  std::string host;
  int port = 6379;
  std::string user;
  std::string password;
  std::string database;
};
/// False where `url` is none.
[[nodiscard]] bool parse_redis_url(const std::string& url, RedisAddress& address);

/// GET and SET of "kerncast:" and the name. How long entries live is the server's own setting.
[[nodiscard]] std::unique_ptr<RemoteServer> redis_server(const RemoteOptions& options,
                                                         const RedisAddress& address);

}  // namespace kerncast::cache
