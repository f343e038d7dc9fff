#include "cache/directory/budget.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <limits>
#include <vector>

#include "cache/directory/entry_tree.hpp"
#include "cache/directory/process_usage.hpp"
#include "cache/directory/reaper.hpp"
#include "cache/layout.hpp"
#include "cache/posix/file_lock.hpp"

namespace kerncast::cache {
namespace {

constexpr std::int64_t unused_seconds = std::int64_t{7} * 24 * 3600;
constexpr std::uint64_t no_end = std::numeric_limits<std::uint64_t>::max();

/// True if `name` is the entry folder of another format version, such as "v17".
bool is_other_version(const std::string& name) {
  return name.size() > 1 && name.size() < 6 && name[0] == 'v' &&
         name.find_first_not_of("0123456789", 1) == std::string::npos && name != layout::entries;
}

struct Candidate {
  std::string shard;
  std::string name;
  Key key;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
};

class Trim {
 public:
  Trim(const Folder& root, const Budget& budget, const std::string& own)
      : root_(root), budget_(budget), own_(own) {}

  TrimResult run() {
    result_.ran = true;
    root_.for_each(reaped_names, [&](const std::string& name) {
      if (is_other_version(name)) {
        collect_version(root_.child(name), name);
      }
    });
    const Folder entries = root_.child(layout::entries);
    for_each_shard(entries, [&](const Folder& shard, const std::string& name) { read_shard(shard, name); });
    for (const std::string_view name : {layout::quarantine, layout::sessions}) {
      result_.collected += reap_temporaries(root_.child(name), abandoned_after, no_limit);
    }
    if (exceeds(budget_.bytes, result_.bytes) || exceeds(budget_.entries, result_.entries)) {
      evict(entries);
    }
    return result_;
  }

 private:
  static bool exceeds(std::uint64_t limit, std::uint64_t value) { return limit != 0 && value > limit; }
  static std::uint64_t low_water(std::uint64_t limit) { return limit - limit / 8; }

  void read_shard(const Folder& shard, const std::string& shard_name) {
    for_each_entry(shard, shard_name, [&](const std::string& name, const StoredFile& file) {
      candidates_.push_back({shard_name, name, file.key, file.bytes, file.modified_ns});
      ++result_.entries;
      result_.bytes += file.bytes;
    });
    result_.collected += reap_temporaries(shard, abandoned_after, no_limit);
  }

  void collect_version(const Folder& version, const std::string& version_name) {
    const std::int64_t now = std::time(nullptr);
    for_each_shard(version, [&](const Folder& shard, const std::string& shard_name) {
      for_each_entry(shard, shard_name, [&](const std::string& name, const StoredFile& file) {
        if (now - file.modified_ns / 1'000'000'000 > unused_seconds && shard.remove(name)) {
          ++result_.collected;
        }
      });
      result_.collected += reap_temporaries(shard, abandoned_after, no_limit);
      ::unlinkat(version.fd(), shard_name.c_str(), AT_REMOVEDIR);
    });
    ::unlinkat(root_.fd(), version_name.c_str(), AT_REMOVEDIR);
  }

  void evict(const Folder& entries) {
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return a.modified_ns != b.modified_ns ? a.modified_ns < b.modified_ns : a.key < b.key;
    });
    const auto in_use = keys_in_use(root_, own_);
    for (const Candidate& candidate : candidates_) {
      if (!exceeds(low_water(budget_.bytes), result_.bytes) &&
          !exceeds(low_water(budget_.entries), result_.entries)) {
        break;
      }
      if (!in_use.contains(candidate.key) && remove(entries.child(candidate.shard), candidate)) {
        --result_.entries;
        result_.bytes -= candidate.bytes;
        ++result_.evicted;
        result_.evicted_bytes += candidate.bytes;
      }
    }
  }

  /// Removes the candidate. False if it was used or published again since it was listed.
  static bool remove(const Folder& shard, const Candidate& candidate) {
    struct stat info{};
    return ::fstatat(shard.fd(), candidate.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(info.st_mode) &&
           static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec ==
               candidate.modified_ns &&
           shard.remove(candidate.name);
  }

  const Folder& root_;
  const Budget& budget_;
  const std::string& own_;
  std::vector<Candidate> candidates_;
  TrimResult result_;
};

std::uint64_t step(std::uint64_t limit, std::uint64_t used) {
  if (limit == 0) {
    return no_end;
  }
  const std::uint64_t left = limit > used ? limit - used : 0;
  return std::max(left / 16, limit / 32);
}

}  // namespace

TrimResult trim(const Folder& root, const Budget& budget, const std::string& own) {
  if (!root.valid()) {
    return {};
  }
  const FileLock lock(root.make_child(layout::locks), layout::trim_lock);
  if (lock.busy()) {
    return {};
  }
  collect_usage(root);
  return Trim(root, budget, own).run();
}

bool TrimSchedule::published(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_left_ -= std::min(bytes_left_, bytes);
  entries_left_ -= std::min<std::uint64_t>(entries_left_, 1);
  if (bytes_left_ > 0 && entries_left_ > 0) {
    return false;
  }
  // Other threads continue to publish during the trim, and must not start a second one.
  bytes_left_ = step(budget_.bytes, budget_.bytes);
  entries_left_ = step(budget_.entries, budget_.entries);
  return true;
}

void TrimSchedule::trimmed(const TrimResult& result) {
  if (result.ran) {
    const std::lock_guard lock(mutex_);
    bytes_left_ = step(budget_.bytes, result.bytes);
    entries_left_ = step(budget_.entries, result.entries);
  }
}

bool parse_amount(const std::string& text, std::uint64_t& amount) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const unsigned shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : 64;
  if (error != std::errc() || shift == 64 || value > no_end >> shift) {
    return false;
  }
  amount = value << shift;
  return true;
}

}  // namespace kerncast::cache
