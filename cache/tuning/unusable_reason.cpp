#include "cache/tuning/unusable_reason.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cache/layout.hpp"

namespace kerncast::cache {
namespace {

std::string error_text(int error) {
  return std::generic_category().message(error);
}

/// The error of an access to `name` in `root` by this user; empty if it is allowed, or if there is no such
/// file.
std::string refused(const Folder& root, const char* name, int access) {
  return ::faccessat(root.fd(), name, access, AT_EACCESS) == 0 || errno == ENOENT ? std::string()
                                                                                  : error_text(errno);
}

/// The access that this user lacks; empty if that cannot be the reason.
std::string missing_access(const Folder& root, bool writes) {
  const std::string file(layout::tuning);
  if (const std::string error = refused(root, file.c_str(), R_OK); !error.empty()) {
    return fmt::format("this user may not read it ({}); let this user read it", error);
  }
  if (const std::string error = writes ? refused(root, file.c_str(), W_OK) : std::string(); !error.empty()) {
    return fmt::format("this user may not write it ({}); let this user write it", error);
  }
  if (const std::string error = refused(root, ".", W_OK | X_OK); !error.empty()) {
    return fmt::format(
        "this user may not write in its directory ({}), where SQLite keeps the log of the database; let this "
        "user write there",
        error);
  }
  return {};
}

}  // namespace

std::string unusable_reason(int result, int system_error, const Folder& root, bool writes) {
  switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return fmt::format("{}: another process holds it; try again when that has ended",
                         sqlite3_errstr(result));
    case SQLITE_FULL:
      return fmt::format("{}; make room on the disk of its directory", sqlite3_errstr(result));
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_IOERR:
      if (std::string reason = missing_access(root, writes); !reason.empty()) {
        return reason;
      }
      break;
    default:
      return sqlite3_errstr(result);
  }
  return system_error == 0 ? std::string(sqlite3_errstr(result))
                           : fmt::format("{}: {}", sqlite3_errstr(result), error_text(system_error));
}

}  // namespace kerncast::cache
