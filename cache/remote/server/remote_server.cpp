#include "cache/remote/server/remote_server.hpp"

#include <utility>

#include "cache/remote/address/remote_address.hpp"
#include "cache/remote/address/remote_credentials.hpp"
#include "cache/remote/server/remote_servers.hpp"
#include "cache/remote/server/s3_address.hpp"

namespace kerncast::cache {

std::unique_ptr<RemoteServer> remote_server(const RemoteOptions& options, std::string& defect) {
  const RemoteAddress& address = options.address;
  defect = address.defect();
  if (!defect.empty()) {
    return nullptr;
  }
  const RemoteServers* servers = remote_servers(defect);
  if (servers == nullptr) {
    return nullptr;
  }
  if (address.scheme() == RemoteScheme::s3) {
    S3Address s3;
    return find_s3_address(options, s3, defect) ? servers->s3(options, std::move(s3)) : nullptr;
  }
  Credentials credentials = address.credentials();
  if (credentials.password.empty() && !options.credentials_file.empty()) {
    FoundCredentials found = find_credentials(options.credentials_file, options.credentials_trust, address);
    if (!found.credentials) {
      defect = std::move(found.defect);
      return nullptr;
    }
    credentials = std::move(*found.credentials);
  }
  return address.scheme() == RemoteScheme::redis ? servers->redis(options, std::move(credentials))
                                                 : servers->http(options, std::move(credentials));
}

}  // namespace kerncast::cache
