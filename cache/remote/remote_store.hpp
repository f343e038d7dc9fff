#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/counters.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/read_only_layer.hpp"
#include "cache/remote/lease/remote_leases.hpp"
#include "cache/remote/lease/remote_queue.hpp"
#include "cache/remote/server/circuit_breaker.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "cache/wait_budget.hpp"

namespace kerncast::cache {

/// The name of the object that holds the entry of `key` on a server, "v1-HEX.kce".
[[nodiscard]] std::string object_name(const Key& key);

/// The entries on a remote server, which machines share. Each is kept as an entry file under the name
/// "v1-HEX.kce". Received bytes are verified like a file. A server that fails, or whose entry is
/// refused, is not asked again for a while; reading and writing are paused independently. Thread-safe.
class RemoteStore {
 public:
  RemoteStore(const RemoteOptions& options, WarnOnce& warnings, Counters& counters);
  /// Uses `server` instead of the server at the URL.
  RemoteStore(std::unique_ptr<RemoteServer> server, RemoteOptions options, WarnOnce& warnings,
              Counters& counters);

  /// Looks up an entry. The answer is empty if the server has none, fails, or is not asked.
  [[nodiscard]] LayerAnswer load(const Key& key, WaitBudget& budget);
  /// Uploads an entry. Of its provenance the server gets what says who compiled it, and no path of this
  /// machine.
  void put(const Key& key, const Entry& entry, WaitBudget& budget);

  /// Uploads the entry that `load_entry` gives, if the server has none under `key`. An entry that the server
  /// has is neither fetched nor examined.
  void share(const Key& key, const std::function<std::shared_ptr<const Entry>()>& load_entry,
             WaitBudget& budget);

  /// Takes the entry that the server has; false if it cannot be used.
  using Accept = std::function<bool(LayerAnswer)>;
  /// Lets one machine at a time compile the kernel of a missing `key`. Returns when `accept` took the entry
  /// of another machine, or when this one has to compile, as long as it keeps the lease if that is held.
  [[nodiscard]] RemoteLease take_turn(const Key& key, WaitBudget& budget, const Accept& accept);
  /// The queue called `name` on the server, as RemoteQueue describes it. Null without a server that entries
  /// are uploaded to. It ends before this object.
  [[nodiscard]] std::unique_ptr<RemoteQueue> queue(std::string name, const std::vector<std::string>& items,
                                                   std::chrono::milliseconds patience);
  /// Ends all waits for other machines, now and later.
  void stop_waiting() { leases_.stop_waiting(); }
  [[nodiscard]] bool usable() const { return server_ != nullptr; }
  [[nodiscard]] bool uploads() const { return server_ != nullptr && !options_.read_only; }
  [[nodiscard]] bool takes_leases() const { return uploads() && options_.leases; }
  [[nodiscard]] const std::string& name() const { return options_.address.name(); }

 private:
  /// An answer, and whether the server gave it.
  struct Look {
    bool asked = false;
    LayerAnswer answer;
  };
  [[nodiscard]] Look look(const Key& key, WaitBudget& budget);
  [[nodiscard]] Deadline deadline(const WaitBudget::Wait& wait) const;
  void failed(CircuitBreaker& breaker, const std::string& failure);

  RemoteOptions options_;
  WarnOnce& warnings_;
  Counters& counters_;
  std::unique_ptr<RemoteServer> server_;
  CircuitBreaker reads_;
  CircuitBreaker writes_;
  RemoteLeases leases_;
};

}  // namespace kerncast::cache
