#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/posix/trust.hpp"
#include "cache/remote/address/remote_address.hpp"
#include "cache/wait_budget.hpp"

namespace kerncast::cache {

struct RemoteOptions {
  RemoteAddress address;
  bool read_only = false;
  /// Time-out of a connection attempt and of each wait for more of an answer.
  std::chrono::milliseconds timeout{1000};
  std::string credentials_file;             ///< as find_credentials() reads it; empty: none
  Trust credentials_trust;                  ///< whose file that may be
  bool leases = true;                       ///< let machines agree on who compiles a kernel
  std::chrono::milliseconds lease{60'000};  ///< after which a lease that nobody has released is over

  /// The longest time that a whole request may take, from the connection attempt to the end of the answer.
  [[nodiscard]] std::chrono::milliseconds request_time() const { return 3 * timeout; }
};

enum class RemoteState : std::uint8_t {
  done,
  absent,
  taken,    ///< a lease is claimed that exists already
  refused,  ///< a request that the server does not know or does not allow
  failed,
};

/// Outcome of a request.
struct RemoteAnswer {
  RemoteState state = RemoteState::failed;
  std::string bytes;    ///< content, if a get is done
  std::string failure;  ///< the reason, if it was refused or failed
};

/// A part of the names that a server holds.
struct RemotePage {
  RemoteState state = RemoteState::failed;
  std::vector<std::string> names;
  std::string next;     ///< the place where the next page begins; empty if this is the last one
  std::string failure;  ///< the reason, if it was refused or failed
};

/// The lease to claim: the token of its holder under a name.
struct LeaseClaim {
  std::string name;
  std::string token;
  std::chrono::milliseconds duration{0};  ///< after which a server that can do so removes the lease
  bool take_over = false;                 ///< replaces a lease that exists
};

/// A server that keeps bytes under names. Failures of the server or the network are reported in the answer
/// and never throw, and no signal that they raise reaches the host. A request ends at its deadline, and an
/// answer longer than max_entry_bytes is a failure, as is a page larger than any that is asked for.
/// Thread-safe.
class RemoteServer {
 public:
  RemoteServer() = default;
  RemoteServer(const RemoteServer&) = delete;
  RemoteServer& operator=(const RemoteServer&) = delete;
  virtual ~RemoteServer() = default;
  [[nodiscard]] virtual RemoteAnswer get(const std::string& name, const Deadline& deadline) = 0;
  /// Says if something is kept under `name`, without fetching it: done, or absent.
  [[nodiscard]] virtual RemoteAnswer has(const std::string& name, const Deadline& deadline) {
    RemoteAnswer answer = get(name, deadline);
    answer.bytes.clear();
    return answer;
  }
  [[nodiscard]] virtual RemoteAnswer put(const std::string& name, std::string_view bytes,
                                         const Deadline& deadline) = 0;
  /// Removes what is kept under `name`; it is done as well if there is nothing.
  [[nodiscard]] virtual RemoteAnswer remove(const std::string& /*name*/, const Deadline& /*deadline*/) {
    return {RemoteState::refused, {}, "it removes nothing"};
  }
  /// Lists names that begin with `prefix`, in any order: the page that begins at `place`, which is empty for
  /// the first one or `next` of the page before. The server may have written any names.
  [[nodiscard]] virtual RemotePage list(const std::string& /*prefix*/, const std::string& /*place*/,
                                        const Deadline& /*deadline*/) {
    return {RemoteState::refused, {}, {}, "it has no request that lists names"};
  }
  /// Creates a lease, at most once for all machines unless it is taken over. A server that would create it
  /// twice refuses. get() reads its token.
  [[nodiscard]] virtual RemoteAnswer claim(const LeaseClaim& lease, const Deadline& deadline) = 0;
  /// Removes the lease called `name` if its token is `token`; it is done as well if there is none or another.
  [[nodiscard]] virtual RemoteAnswer release(const std::string& name, const std::string& token,
                                             const Deadline& deadline) = 0;
  /// Runs a Lua script for the key called `name`, with nothing else in between, and returns the string that
  /// it returns. Servers other than Redis refuse, and so does Redis if the script fails.
  [[nodiscard]] virtual RemoteAnswer evaluate(const std::string& /*script*/, const std::string& /*name*/,
                                              const std::vector<std::string>& /*arguments*/,
                                              const Deadline& /*deadline*/) {
    return {RemoteState::refused, {}, "it runs no scripts"};
  }
};

/// The server at the address; no connection is made yet. Its credentials are those of the URL. If that has no
/// password (for S3: if the environment has no keys), the file is asked. Null, with the reason in `defect`,
/// if the address or the file cannot be used.
[[nodiscard]] std::unique_ptr<RemoteServer> remote_server(const RemoteOptions& options, std::string& defect);

/// Reads the file of credentials, and asks the server for a name that nobody keeps. Returns the reason if one
/// of them cannot be used, else nothing.
[[nodiscard]] std::string remote_defect(const RemoteOptions& options);

}  // namespace kerncast::cache
