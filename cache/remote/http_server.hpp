#pragma once

#include <memory>

#include "cache/remote/remote_server.hpp"
#include "cache/remote/s3_address.hpp"

namespace kerncast::cache {

/// GET and PUT below the URL: WebDAV, nginx, or what speaks like them. User and password of the URL are sent
/// as basic authentication; redirects are not followed.
[[nodiscard]] std::unique_ptr<RemoteServer> http_server(const RemoteOptions& options);

/// The same of objects of S3 or what speaks like it, with every request signed (AWS Signature Version 4).
[[nodiscard]] std::unique_ptr<RemoteServer> s3_server(const RemoteOptions& options, S3Address address);

}  // namespace kerncast::cache
