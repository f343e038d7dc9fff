#pragma once

#include <string>

#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// The reason why SQLite gave `result` for the tuning database in `root`, in words, and what to do about it:
/// "this user may not write in its directory (Permission denied); let this user write there". `system_error`
/// is that of sqlite3_system_errno(), or 0. `writes`: the database was to be changed.
[[nodiscard]] std::string unusable_reason(int result, int system_error, const Folder& root, bool writes);

}  // namespace kerncast::cache
