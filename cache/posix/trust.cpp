#include "cache/posix/trust.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "runtime/util/environment.hpp"

namespace kerncast::cache {

bool is_trusted_owner(uid_t owner, const Trust& trust) {
  if (!trust.checks || owner == 0 ||
      std::find(trust.owners.begin(), trust.owners.end(), owner) != trust.owners.end()) {
    return true;
  }
  const bool starter_is_user = has_raised_privileges() && ::geteuid() == ::getuid();
  return owner == ::geteuid() && !starter_is_user;
}

std::string reason_not_trusted(const struct stat& info, const Trust& trust) {
  if (!trust.checks) {
    return {};
  }
  if (!is_trusted_owner(info.st_uid, trust)) {
    return fmt::format("it belongs to user {}", info.st_uid);
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fmt::format("others may write to it (mode {:o})", info.st_mode & 07777U);
  }
  return {};
}

std::string reason_not_trusted(int fd, const Trust& trust) {
  struct stat info{};
  if (!trust.checks) {
    return {};
  }
  return ::fstat(fd, &info) == 0 ? reason_not_trusted(info, trust) : "its owner cannot be read";
}

std::optional<uid_t> user_called(const std::string& text) {
  uid_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    return number;
  }
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(1024);
  while (::getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE &&
         buffer.size() < (std::size_t{1} << 20)) {
    buffer.resize(buffer.size() * 2);
  }
  return found != nullptr ? std::optional(found->pw_uid) : std::nullopt;
}

}  // namespace kerncast::cache
