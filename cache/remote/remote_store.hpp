#pragma once

#include <memory>
#include <string>

#include "cache/counters.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/read_only_layer.hpp"
#include "cache/remote/circuit_breaker.hpp"
#include "cache/remote/remote_server.hpp"

namespace kerncast::cache {

/// A server that machines share entries through, each kept as an entry file under "v1-HEX.kce". What arrives
/// is verified like any file; a server that fails is left alone for a while, readers and writers of it each
/// on their own. Thread-safe.
class RemoteStore {
 public:
  RemoteStore(RemoteOptions options, WarnOnce& warnings, Counters& counters);
  /// For another server than the URL's.
  RemoteStore(std::unique_ptr<RemoteServer> server, RemoteOptions options, WarnOnce& warnings,
              Counters& counters);

  /// Neither entry nor defect where the server has none or is not asked.
  [[nodiscard]] LayerAnswer load(const Key& key);
  void put(const Key& key, const Entry& entry);
  [[nodiscard]] bool usable() const { return server_ != nullptr; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  void failed(CircuitBreaker& breaker, const std::string& failure);

  RemoteOptions options_;
  std::string name_;
  WarnOnce& warnings_;
  Counters& counters_;
  std::unique_ptr<RemoteServer> server_;
  CircuitBreaker reads_;
  CircuitBreaker writes_;
};

}  // namespace kerncast::cache
