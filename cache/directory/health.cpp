#include "cache/directory/health.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "cache/posix/file_system.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {
namespace {

constexpr std::uint64_t little_space = 64ULL << 20;

}  // namespace

Health check_health(const Store& store) {
  Health health;
  health.directory = store.root();
  if (store.root().empty()) {
    health.problems.push_back(
        {"there is no cache directory: none of KERNCAST_CACHE_DIR, XDG_CACHE_HOME and HOME is set",
         "set KERNCAST_CACHE_DIR to a directory of your own", true});
    return health;
  }
  const Folder folder = Folder::make(store.root());
  struct stat info{};
  health.exists = folder.valid() && ::fstat(folder.fd(), &info) == 0;
  if (!health.exists) {
    health.problems.push_back(
        {fmt::format("the cache directory cannot be created: {}", folder.failure().text),
         "set KERNCAST_CACHE_DIR to a directory that you may write to", true});
    return health;
  }
  const bool is_trusted = reason_not_trusted(info, store.trust()).empty();
  const IoFailure written = is_trusted ? folder.publish(".probe", "probe") : IoFailure();
  health.writable = is_trusted && !written;
  if (health.writable) {
    folder.remove(".probe");
  }
  if (written) {
    health.problems.push_back({fmt::format("the cache directory is not writable: {}", written.text),
                               "make it writable, or set KERNCAST_CACHE_DIR", true});
  }
  if (const std::string reason = reason_not_trusted(info, Trust::mine); !reason.empty()) {
    health.problems.push_back(
        {fmt::format(
             "the cache directory is not used unless KERNCAST_CACHE_TRUST=1: {}, and whoever writes there "
             "chooses the code that runs here",
             reason),
         fmt::format(
             "deny others write access (chmod go-w {}), or set KERNCAST_CACHE_DIR to a directory of your own",
             store.root()),
         true, true});
  }
  if (is_on_network(store.root())) {
    health.problems.push_back(
        {"the cache directory is on a network file system: locks may not work there",
         "nothing breaks, but kernels may be compiled more than once; prefer a local disk"});
  }
  struct statvfs space{};
  if (::statvfs(store.root().c_str(), &space) == 0) {
    health.free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
    if (health.free_bytes < little_space) {
      health.problems.push_back(
          {health.free_bytes >> 20 == 0
               ? std::string("less than 1 MiB is free in the cache directory")
               : fmt::format("only {} MiB are free in the cache directory", health.free_bytes >> 20),
           "free some space, or move the cache with KERNCAST_CACHE_DIR"});
    }
  }
  health.statistics = store.statistics();
  if (health.statistics.quarantined > 0) {
    health.problems.push_back({fmt::format("{} quarantined file{}", health.statistics.quarantined,
                                           health.statistics.quarantined == 1 ? "" : "s"),
                               "their kernels are compiled again when they are needed; `kerncast cache "
                               "clear` removes the files. If "
                               "more of them appear, check the disk"});
  }
  return health;
}

}  // namespace kerncast::cache
