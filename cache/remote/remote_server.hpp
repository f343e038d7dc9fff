#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace kerncast::cache {

struct RemoteOptions {
  std::string url;  ///< "http://...", "https://...", "s3://..." or "redis://..."; empty: none
  bool read_only = false;
  /// For a connection and for each answer; a transfer as a whole may take ten times as long.
  std::chrono::milliseconds timeout{1000};
};

enum class RemoteState : std::uint8_t { done, absent, failed };

/// What a request came to.
struct RemoteAnswer {
  RemoteState state = RemoteState::failed;
  std::string bytes;    ///< of a get that is done
  std::string failure;  ///< why it failed
};

/// A server that keeps bytes under names. Thread-safe; no state of the server or the network is an error, and
/// no signal of theirs reaches the host.
class RemoteServer {
 public:
  RemoteServer() = default;
  RemoteServer(const RemoteServer&) = delete;
  RemoteServer& operator=(const RemoteServer&) = delete;
  virtual ~RemoteServer() = default;
  [[nodiscard]] virtual RemoteAnswer get(const std::string& name) = 0;
  [[nodiscard]] virtual RemoteAnswer put(const std::string& name, std::string_view bytes) = 0;
};

/// The server of `options.url`, not yet connected to; null with `defect` where there can be none.
[[nodiscard]] std::unique_ptr<RemoteServer> remote_server(const RemoteOptions& options, std::string& defect);

/// `url` without user name and password, for messages.
[[nodiscard]] std::string without_credentials(const std::string& url);

}  // namespace kerncast::cache
