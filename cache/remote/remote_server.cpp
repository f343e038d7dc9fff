#include "cache/remote/remote_server.hpp"

#include <utility>

#include "cache/remote/http_server.hpp"
#include "cache/remote/redis_server.hpp"
#include "cache/remote/s3_address.hpp"

namespace kerncast::cache {

std::unique_ptr<RemoteServer> remote_server(const RemoteOptions& options, std::string& defect) {
  if (options.url.starts_with("http://") || options.url.starts_with("https://")) {
    return http_server(options);
  }
  if (options.url.starts_with("s3://")) {
    S3Address address;
    return parse_s3_url(options.url, address, defect) ? s3_server(options, std::move(address)) : nullptr;
  }
  if (options.url.starts_with("rediss://")) {
    defect =
        "Redis over TLS is not supported; connect through a tunnel such as stunnel, and name it by redis://";
    return nullptr;
  }
  if (RedisAddress address; parse_redis_url(options.url, address)) {
    return redis_server(options, address);
  }
  defect =
      "its URL has none of the forms http://, https://, s3://bucket/prefix and "
      "redis://[[user]:password@]host[:port][/database]";
  return nullptr;
}

}  // namespace kerncast::cache
