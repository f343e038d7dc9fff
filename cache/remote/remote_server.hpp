#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cache/wait_budget.hpp"

namespace kerncast::cache {

struct RemoteOptions {
  std::string url;  ///< "http://...", "https://...", "s3://..." or "redis://..."; empty: none
  bool read_only = false;
  /// Time-out of a connection attempt and of each wait for more of an answer.
  std::chrono::milliseconds timeout{1000};

  /// The longest time that a whole request may take, from the connection attempt to the end of the answer.
  [[nodiscard]] std::chrono::milliseconds request_time() const { return 3 * timeout; }
};

enum class RemoteState : std::uint8_t { done, absent, failed };

/// Outcome of a request.
struct RemoteAnswer {
  RemoteState state = RemoteState::failed;
  std::string bytes;    ///< content, if a get is done
  std::string failure;  ///< the reason, if it failed
};

/// A server that keeps bytes under names. Failures of the server or the network are reported in the answer
/// and never throw, and no signal that they raise reaches the host. A request ends at its deadline, and an
/// answer longer than max_entry_bytes is a failure. Thread-safe.
class RemoteServer {
 public:
  RemoteServer() = default;
  RemoteServer(const RemoteServer&) = delete;
  RemoteServer& operator=(const RemoteServer&) = delete;
  virtual ~RemoteServer() = default;
  [[nodiscard]] virtual RemoteAnswer get(const std::string& name, const Deadline& deadline) = 0;
  [[nodiscard]] virtual RemoteAnswer put(const std::string& name, std::string_view bytes,
                                         const Deadline& deadline) = 0;
};

/// The server at `options.url`; no connection is made yet. Null, with the reason in `defect`, if the URL
/// cannot be used.
[[nodiscard]] std::unique_ptr<RemoteServer> remote_server(const RemoteOptions& options, std::string& defect);

/// Asks the server for a name that nobody keeps. Returns the reason if it cannot be used, else nothing.
[[nodiscard]] std::string remote_defect(const RemoteOptions& options);

/// Returns `url` without user name and password, for messages.
[[nodiscard]] std::string without_credentials(const std::string& url);

}  // namespace kerncast::cache
