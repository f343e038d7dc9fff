#pragma once

#include <memory>

#include "cache/remote/address/remote_address.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "cache/remote/server/s3_address.hpp"

namespace kerncast::cache {

/// A server that is used by GET and PUT below the path of its URL: WebDAV, nginx, or a similar one. The query
/// of the URL is sent with each request, and credentials as basic authentication unless they are empty.
/// Redirects are not followed. Leases need a server that honours "If-None-Match: *" of a PUT; one that
/// ignores it is found out before the first lease, by the object "v1-probe.lease", which stays there. It
/// lists nothing.
[[nodiscard]] std::unique_ptr<RemoteServer> http_server(const RemoteOptions& options,
                                                        Credentials credentials);

/// S3 or a server with the same interface. Every request is signed (AWS Signature Version 4). Names are
/// listed by ListObjectsV2.
[[nodiscard]] std::unique_ptr<RemoteServer> s3_server(const RemoteOptions& options, S3Address address);

}  // namespace kerncast::cache
