#include "cache/posix/trusted_path.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <system_error>

namespace kerncast::cache {
namespace {

static_assert(not_trusted == ECANCELED);

// The limit of symbolic links in one path, which is that of Linux.
constexpr int most_links = 40;

/// Puts the parts of `path` before `parts`.
void put_before(std::deque<std::string>& parts, const std::string& path) {
  for (std::size_t end = path.size(); end > 0;) {
    const std::size_t slash = path.rfind('/', end - 1);
    const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
    if (std::string part = path.substr(begin, end - begin); !part.empty() && part != ".") {
      parts.push_front(std::move(part));
    }
    end = slash == std::string::npos ? 0 : slash;
  }
}

class Walk {
 public:
  Walk(const std::string& path, const Trust& trust) : trust_(trust) {
    put_before(parts_, path);
    // The folders above the current one decide whom a relative path leads to.
    if (!path.starts_with('/')) {
      std::array<char, PATH_MAX> here{};
      if (::getcwd(here.data(), here.size()) == nullptr) {
        failed(".");
        return;
      }
      put_before(parts_, here.data());
    }
    start_at_root();
  }

  TrustedPath run(int flags) {
    while (result_.reason.empty() && !(parts_.empty() && result_.file.valid())) {
      const std::string part = parts_.empty() ? "." : parts_.front();
      if (!parts_.empty()) {
        parts_.pop_front();
      }
      step(part, flags);
    }
    if (!result_.reason.empty()) {
      result_.file = Descriptor();
    }
    return std::move(result_);
  }

 private:
  void start_at_root() {
    folder_ = Descriptor(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    at_ = "/";
    if (!folder_.valid()) {
      failed(at_);
    }
  }

  void step(const std::string& part, int flags) {
    struct stat folder{};
    struct stat info{};
    const std::string place = at_ + (at_.ends_with('/') ? "" : "/") + part;
    if (::fstat(folder_.get(), &folder) != 0 ||
        ::fstatat(folder_.get(), part.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      failed(place);
      return;
    }
    check_folder(folder);
    const bool shared = (folder.st_mode & S_ISVTX) != 0 && (folder.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (result_.reason.empty() && shared && part != ".." && !is_trusted_owner(info.st_uid, trust_)) {
      refuse(fmt::format("{} belongs to user {}", place, info.st_uid));
    }
    if (!result_.reason.empty()) {
      return;
    }
    // From here on only trusted owners can replace the part.
    if (S_ISLNK(info.st_mode)) {
      follow(part, info, place);
    } else if (parts_.empty()) {
      open_end(part, place, flags);
    } else {
      // Unlike the bare name, this mounts what an automounter keeps there.
      folder_ = Descriptor(::openat(folder_.get(), (part + "/.").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
      at_ = place;
      if (!folder_.valid()) {
        failed(place);
      }
    }
  }

  void check_folder(const struct stat& folder) {
    if (!is_trusted_owner(folder.st_uid, trust_)) {
      refuse(fmt::format("{} belongs to user {}", at_, folder.st_uid));
    } else if ((folder.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (folder.st_mode & S_ISVTX) == 0) {
      refuse(fmt::format("others may write to {} (mode {:o})", at_, folder.st_mode & 07777U));
    }
  }

  void follow(const std::string& part, const struct stat& info, const std::string& place) {
    if (!is_trusted_owner(info.st_uid, trust_)) {
      refuse(fmt::format("the link {} belongs to user {}", place, info.st_uid));
      return;
    }
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(folder_.get(), part.c_str(), target.data(), target.size());
    if (size <= 0 || ++links_ > most_links) {
      errno = size < 0 ? errno : ELOOP;
      failed(place);
      return;
    }
    const std::string text(target.data(), static_cast<std::size_t>(size));
    put_before(parts_, text);
    if (text.starts_with('/')) {
      start_at_root();
    }
  }

  void open_end(const std::string& part, const std::string& place, int flags) {
    result_.file = Descriptor(::openat(folder_.get(), part.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!result_.file.valid()) {
      failed(place);
    } else if (const std::string reason = reason_not_trusted(result_.file.get(), trust_); !reason.empty()) {
      refuse(fmt::format("{}: {}", place, reason));
    }
  }

  void refuse(std::string reason) {
    result_.error = not_trusted;
    result_.reason = std::move(reason);
  }
  void failed(const std::string& place) {
    result_.error = errno;
    result_.reason = fmt::format("open {}: {}", place, std::generic_category().message(result_.error));
  }

  const Trust& trust_;
  std::deque<std::string> parts_;
  Descriptor folder_;
  std::string at_;
  int links_ = 0;
  TrustedPath result_;
};

}  // namespace

TrustedPath open_trusted(const std::string& path, int flags, const Trust& trust) {
  if (trust.checks && !path.empty()) {
    return Walk(path, trust).run(flags);
  }
  TrustedPath result;
  result.file = Descriptor(::open(path.c_str(), flags | O_CLOEXEC));
  if (!result.file.valid()) {
    result.error = errno;
    result.reason = fmt::format("open {}: {}", path, std::generic_category().message(result.error));
  }
  return result;
}

}  // namespace kerncast::cache
