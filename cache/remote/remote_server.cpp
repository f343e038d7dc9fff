#include "cache/remote/remote_server.hpp"

#include "cache/remote/http_server.hpp"
#include "cache/remote/redis_server.hpp"

namespace kerncast::cache {

std::unique_ptr<RemoteServer> remote_server(const RemoteOptions& options, std::string& defect) {
  if (options.url.starts_with("http://") || options.url.starts_with("https://")) {
    return http_server(options);
  }
  if (RedisAddress address; parse_redis_url(options.url, address)) {
    return redis_server(options, address);
  }
  defect = "its URL is none of http://, https:// and redis://[[user]:password@]host[:port][/database]";
  return nullptr;
}

}  // namespace kerncast::cache
