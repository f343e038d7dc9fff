#pragma once

#include <memory>
#include <string>

#include "cache/remote/remote_server.hpp"

namespace kerncast::cache {

/// The parts of the URL "redis://[[user]:password@]host[:port][/database]".
struct RedisAddress {
  std::string host;
  int port = 6379;
  std::string user;
  std::string password;
  std::string database;
};
/// Parses `url`. False if it is not a Redis URL.
[[nodiscard]] bool parse_redis_url(const std::string& url, RedisAddress& address);

/// A Redis server, used by GET and SET of the keys "kerncast:NAME". Entries do not expire unless the server
/// evicts them.
[[nodiscard]] std::unique_ptr<RemoteServer> redis_server(const RemoteOptions& options,
                                                         const RedisAddress& address);

}  // namespace kerncast::cache
