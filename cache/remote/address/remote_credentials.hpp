#pragma once

#include <optional>
#include <string>

#include "cache/posix/trust.hpp"
#include "cache/remote/address/remote_address.hpp"

namespace kerncast::cache {

/// Result of looking a server up in a file of credentials. No message holds any part of the file's text.
struct FoundCredentials {
  std::optional<Credentials> credentials;
  std::string defect;  ///< the reason why the file cannot be used, or has nothing for the server
};

/// Looks up the user and password of the server at `address` in the file at `path`, which has the form of a
/// .netrc file: "machine HOST login USER password PASSWORD" or "default login USER password PASSWORD". HOST
/// is that of the URL, with or without its port; of s3:// it is the bucket. The first entry that fits is
/// taken. If the URL names a user, only entries of that user fit.
///
/// The file has to be a regular one that `trust` accepts and that nobody but its owner may read.
[[nodiscard]] FoundCredentials find_credentials(const std::string& path, const Trust& trust,
                                                const RemoteAddress& address);

/// The reason why the file at `path` cannot be used for any server. Empty if it can.
[[nodiscard]] std::string credentials_defect(const std::string& path, const Trust& trust);

}  // namespace kerncast::cache
