#pragma once

#include <string>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {

/// The file or folder at the end of a path. It is invalid, with the reason, if it cannot be opened or is not
/// trusted.
struct TrustedPath {
  Descriptor file;
  int error = 0;  ///< errno of the failed call; not_trusted if the path is refused
  std::string reason;
};

/// Error of a path that is not trusted. No system call that opens files fails with it.
constexpr int not_trusted = 125;  // ECANCELED

/// Opens `path` with `flags`. Every part is looked up in the open folder before it, and nobody whom `trust`
/// does not accept may be able to replace a part: each folder on the way and each symbolic link must belong
/// to a trusted owner, and only that owner may write to the folder, unless it is sticky, as /tmp is. The file
/// at the end must satisfy reason_not_trusted(). Without checks this is open().
[[nodiscard]] TrustedPath open_trusted(const std::string& path, int flags, const Trust& trust);

}  // namespace kerncast::cache
