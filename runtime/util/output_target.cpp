#include "runtime/util/output_target.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace kerncast {

OutputTarget output_target(const std::string& path) {
  constexpr int most_links = 40;  // the limit of Linux
  std::filesystem::path target = path;
  struct stat info{};
  for (int i = 0; i < most_links && ::lstat(target.c_str(), &info) == 0 && S_ISLNK(info.st_mode); ++i) {
    if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
      return {target.string(), target.string()};
    }
    std::error_code error;
    const std::filesystem::path next = std::filesystem::read_symlink(target, error);
    if (error) {
      break;
    }
    target = target.parent_path() / next;
  }
  return {target.string(), {}};
}

}  // namespace kerncast
