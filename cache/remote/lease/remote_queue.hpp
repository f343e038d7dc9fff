#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cache/counters.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/remote/lease/queue_policy.hpp"
#include "cache/remote/server/remote_server.hpp"

namespace kerncast::cache {

/// A queue of work on a server, which machines share that may join and leave at any time. Its times are those
/// of the server. It lives for an hour after it was asked last, and for a minute once all items have ended. A
/// server that fails is left with one warning; then over() is true. Not thread-safe; it ends before the
/// server.
class RemoteQueue {
 public:
  /// `items` have no spaces and colons, and are the same on all machines that use `name`.
  RemoteQueue(RemoteServer& server, const RemoteOptions& options, WarnOnce& warnings, Counters& counters,
              std::string name, const std::vector<std::string>& items, std::chrono::milliseconds patience);

  /// Takes at most `places` items, for which this machine works from now on, and renews the terms of those
  /// that it has. It has to be called about ten times a second, and asks the server only when that is due.
  [[nodiscard]] std::vector<std::string> take(std::size_t places);
  /// Says that no machine needs to work on an item any more that this one took.
  void ended(const std::string& item) { policy_.ended(item); }
  /// Gives the items back that have not ended, so that others need not wait for the end of their terms.
  void leave();
  /// True if every item has ended here or elsewhere, or if the queue cannot be used.
  [[nodiscard]] bool over();
  /// The items that had not ended anywhere when the server was asked last.
  [[nodiscard]] std::uint64_t open() const { return policy_.open(); }

 private:
  /// Asks the server. False, with a warning, if it does not answer as it should.
  bool ask(const std::string& script, const std::vector<std::string>& arguments, std::string& answer);
  void make();
  void ask(std::vector<std::string>& taken);
  void warn(const std::string& kind, const std::string& reason);

  RemoteServer& server_;
  RemoteOptions options_;
  WarnOnce& warnings_;
  Counters& counters_;
  std::string name_;
  std::chrono::milliseconds term_;
  QueuePolicy policy_;
};

}  // namespace kerncast::cache
