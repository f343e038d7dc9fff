#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kerncast::cache {

/// Whose files are used. Whoever writes an entry chooses code that this process runs.
struct Trust {
  bool checks = true;         ///< false: files of everybody are used
  std::vector<uid_t> owners;  ///< users that are trusted as this user and root are

  static const Trust mine;      ///< only files that no one but this user and root can write to
  static const Trust everyone;  ///< all files
};
inline const Trust Trust::mine{};
inline const Trust Trust::everyone{false, {}};

/// True if `trust` accepts files of `owner`. Of this process's own users root alone is trusted if it has
/// raised privileges that are not those of a user (set-group-id, file capabilities): its user is then
/// whoever started it.
[[nodiscard]] bool is_trusted_owner(uid_t owner, const Trust& trust);

/// The reason why `trust` refuses the file that `info` describes. Empty if it is trusted.
[[nodiscard]] std::string reason_not_trusted(const struct stat& info, const Trust& trust);
/// The reason why `trust` refuses the open file or folder `fd`. Empty if it is trusted.
[[nodiscard]] std::string reason_not_trusted(int fd, const Trust& trust);

/// The user that `text` names, by name or number. Empty if there is none of this name.
[[nodiscard]] std::optional<uid_t> user_called(const std::string& text);

}  // namespace kerncast::cache
