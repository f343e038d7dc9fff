#pragma once

#include <memory>

#include "cache/remote/remote_server.hpp"
#include "cache/remote/s3_address.hpp"

namespace kerncast::cache {

/// A server that is used by GET and PUT below its URL: WebDAV, nginx, or a similar one. User and password in
/// the URL are sent as basic authentication. Redirects are not followed.
[[nodiscard]] std::unique_ptr<RemoteServer> http_server(const RemoteOptions& options);

/// S3 or a server with the same interface. Every request is signed (AWS Signature Version 4).
[[nodiscard]] std::unique_ptr<RemoteServer> s3_server(const RemoteOptions& options, S3Address address);

}  // namespace kerncast::cache
