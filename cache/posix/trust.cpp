#include "cache/posix/trust.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace kerncast::cache {

std::string reason_not_trusted(const struct stat& info, Trust trust) {
  if (trust == Trust::everyone) {
    return {};
  }
  if (trust == Trust::mine && info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fmt::format("it belongs to user {}", info.st_uid);
  }
  const auto others = static_cast<mode_t>(trust == Trust::mine ? S_IWGRP | S_IWOTH : S_IWOTH);
  if ((info.st_mode & others) != 0) {
    return fmt::format("others may write to it (mode {:o})", info.st_mode & 07777U);
  }
  return {};
}

std::string reason_not_trusted(int fd, Trust trust) {
  struct stat info{};
  return trust == Trust::everyone || ::fstat(fd, &info) != 0 ? std::string()
                                                             : reason_not_trusted(info, trust);
}

}  // namespace kerncast::cache
