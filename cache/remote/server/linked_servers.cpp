#include "cache/remote/server/http_server.hpp"
#include "cache/remote/server/redis_server.hpp"
#include "cache/remote/server/remote_servers.hpp"

namespace kerncast::cache {

const RemoteServers* remote_servers(std::string& /*defect*/) {
  static constexpr RemoteServers servers = {remote_servers_version, &http_server, &s3_server, &redis_server};
  return &servers;
}

}  // namespace kerncast::cache
