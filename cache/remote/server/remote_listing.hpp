#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "cache/key.hpp"
#include "cache/remote/server/remote_server.hpp"

namespace kerncast::cache {

/// The entries that a server says it holds.
struct RemoteListing {
  /// done; refused if the server cannot list or does not allow it; failed if it does not answer, or with
  /// something that is no list.
  RemoteState state = RemoteState::failed;
  std::vector<Key> keys;  ///< in order, each once; empty unless it is done
  std::string failure;    ///< the reason, if it was refused or failed
};

/// Bounds of a list, since a server may go on for ever.
struct ListingLimits {
  std::size_t pages = 100'000;
  std::size_t keys = 1'000'000;
  std::chrono::milliseconds time = std::chrono::minutes(5);
};

/// Lists the entries of `server`, page by page. Each page has the time of a request. Other objects, such as
/// leases, are left out. A list that exceeds `limits`, goes in a circle, or holds names that nobody asked for
/// or that no sound server has, has failed.
[[nodiscard]] RemoteListing listed_keys(RemoteServer& server, const RemoteOptions& options,
                                        const ListingLimits& limits = {});

}  // namespace kerncast::cache
