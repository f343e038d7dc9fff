#include "cache/posix/secret_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "cache/posix/trusted_path.hpp"

namespace kerncast::cache {

SecretFile::SecretFile(const std::string& path, const Trust& trust) {
  // Without O_NONBLOCK a pipe would wait for a writer.
  const TrustedPath opened = open_trusted(path, O_RDONLY | O_NONBLOCK, trust);
  struct stat info{};
  if (!opened.file.valid()) {
    defect_ = opened.reason;
  } else if (::fstat(opened.file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    defect_ = "it is not a regular file";
  } else if (trust.checks && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    defect_ =
        fmt::format("others may open it (mode {:o}); chmod 600 takes the right away", info.st_mode & 07777U);
  } else if (static_cast<std::size_t>(info.st_size) > most_bytes) {
    defect_ = "it is larger than 1 MiB";
  }
  if (!defect_.empty()) {
    return;
  }
  text_.resize(static_cast<std::size_t>(info.st_size));
  std::size_t size = 0;
  while (size < text_.size()) {
    const ssize_t got = ::read(opened.file.get(), text_.data() + size, text_.size() - size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      defect_ = std::generic_category().message(errno);
    }
    if (got <= 0) {
      break;
    }
    size += static_cast<std::size_t>(got);
  }
  ::explicit_bzero(text_.data() + size, text_.size() - size);
  text_.resize(defect_.empty() ? size : 0);
}

SecretFile::~SecretFile() {
  text_.resize(text_.capacity());
  ::explicit_bzero(text_.data(), text_.size());
}

}  // namespace kerncast::cache
