#pragma once

#include <memory>

#include "cache/remote/remote_server.hpp"

namespace kerncast::cache {

/// GET and PUT below the URL: WebDAV, nginx, or what speaks like them. User and password of the URL are sent
/// as basic authentication; redirects are not followed.
[[nodiscard]] std::unique_ptr<RemoteServer> http_server(const RemoteOptions& options);

}  // namespace kerncast::cache
