#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace kerncast::cache {

/// Whose files are used. Whoever writes an entry chooses code that this process runs.
enum class Trust : std::uint8_t {
  mine,      ///< only files that no one but this user and root can write to
  named,     ///< files of any owner, since somebody named the place, unless everybody can write to them
  everyone,  ///< all files
};

/// The reason why `trust` refuses the file that `info` describes. Empty if it is trusted.
[[nodiscard]] std::string reason_not_trusted(const struct stat& info, Trust trust);
/// The reason why `trust` refuses the open file or folder `fd`. Empty if it is trusted.
[[nodiscard]] std::string reason_not_trusted(int fd, Trust trust);

}  // namespace kerncast::cache
