#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace kerncast::cache {

/// From whom entries are taken: whoever writes one chooses code that this process runs.
enum class Trust : std::uint8_t {
  mine,      ///< what only this user or root can write to
  named,     ///< any owner, as somebody named the place; not what everybody can write to
  everyone,  ///< anything
};

/// Why what `info` describes is not trusted; empty where it is.
[[nodiscard]] std::string reason_not_trusted(const struct stat& info, Trust trust);
/// The same for an open file or folder.
[[nodiscard]] std::string reason_not_trusted(int fd, Trust trust);

}  // namespace kerncast::cache
