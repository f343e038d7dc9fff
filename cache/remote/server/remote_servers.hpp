#pragma once

#include <memory>
#include <string>

#include "cache/remote/address/remote_address.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "cache/remote/server/s3_address.hpp"
#include "kerncast/version.hpp"

namespace kerncast::cache {

/// The build that a module of remote servers belongs to. Library and module hand C++ objects to each other,
/// so they must agree in version and in the C++ library.
#ifdef _LIBCPP_VERSION
inline constexpr const char* remote_servers_version = KERNCAST_VERSION " (libc++)";
#else
inline constexpr const char* remote_servers_version = KERNCAST_VERSION " (libstdc++)";
#endif

/// The kinds of servers, as a table: the code behind it needs libcurl and hiredis. In the static library it
/// is linked; the shared library loads it from libkerncast-remote.so when an address asks for it.
struct RemoteServers {
  /// remote_servers_version of the module. It stays the first member in all versions.
  const char* version;
  std::unique_ptr<RemoteServer> (*http)(const RemoteOptions& options, Credentials credentials);
  std::unique_ptr<RemoteServer> (*s3)(const RemoteOptions& options, S3Address address);
  std::unique_ptr<RemoteServer> (*redis)(const RemoteOptions& options, Credentials credentials);
};

/// The table of this process, valid until it ends. Null, with the reason and what to do in `defect`, if the
/// module cannot be used. Thread-safe.
[[nodiscard]] const RemoteServers* remote_servers(std::string& defect);

}  // namespace kerncast::cache
