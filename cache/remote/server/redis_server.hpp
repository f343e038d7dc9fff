#pragma once

#include <memory>

#include "cache/remote/address/remote_address.hpp"
#include "cache/remote/server/remote_server.hpp"

namespace kerncast::cache {

/// A Redis server, used by GET, SET, EXISTS and DEL of the keys "kerncast:NAME", by SCAN to list them, and by
/// EVAL to release leases and for queues. Entries do not expire unless the server evicts them. With a
/// password each connection begins with AUTH; the path of the address is "/DATABASE".
[[nodiscard]] std::unique_ptr<RemoteServer> redis_server(const RemoteOptions& options,
                                                         Credentials credentials);

}  // namespace kerncast::cache
