#include "cache/directory/budget.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "cache/directory/entry_tree.hpp"
#include "cache/directory/process_usage.hpp"
#include "cache/directory/reaper.hpp"
#include "cache/entry.hpp"
#include "cache/layout.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/file_lock.hpp"
#include "cache/posix/file_time.hpp"
#include "runtime/util/capped_sum.hpp"

namespace kerncast::cache {
namespace {

constexpr std::int64_t unused_seconds = std::int64_t{7} * 24 * 3600;
// A process that trims touches its lock many times a second.
constexpr std::int64_t stopped_seconds = 60;
constexpr std::uint64_t no_end = std::numeric_limits<std::uint64_t>::max();

/// True if `name` is the entry folder of another format version, such as "v17".
bool is_other_version(const std::string& name) {
  return name.size() > 1 && name.size() < 6 && name[0] == 'v' &&
         name.find_first_not_of("0123456789", 1) == std::string::npos && name != layout::entries;
}

bool exceeds(std::uint64_t limit, std::uint64_t value) {
  return limit != 0 && value > limit;
}

/// The size that an eviction aims at, if `least` cannot be avoided.
std::uint64_t aim(std::uint64_t limit, std::uint64_t least) {
  return limit == 0 ? no_end : std::max(limit - limit / 8, least);
}

struct Candidate {
  std::string shard;
  std::string name;
  Key key;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
  bool doubtful = false;  ///< it cannot be an entry of its size, or it has a time that cannot be right
};

/// The entries of a directory, or of a part of its folders that stands for all.
class Listing {
 public:
  /// Visits folders from a different one each time, so that each gets its turn. `visit` is called with each.
  Listing(const Folder& entries, std::size_t most,
          const std::function<void(const Folder&, const std::string&)>& visit) {
    std::vector<std::string> names;
    entries.for_each(no_limit, [&](const std::string& name) {
      if (is_shard_name(name)) {
        names.push_back(name);
      }
    });
    std::sort(names.begin(), names.end());
    const auto turn = static_cast<std::size_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    all_ = names.size();
    for (; seen_ < all_ && candidates_.size() < most; ++seen_) {
      const std::string& name = names[(turn + seen_) % all_];
      if (const Folder shard = entries.child(name); shard.valid()) {
        read(shard, name);
        visit(shard, name);
      }
    }
  }

  [[nodiscard]] bool whole() const { return seen_ == all_; }
  /// The part of `limit` that the listed folders may have.
  [[nodiscard]] std::uint64_t part_of(std::uint64_t limit) const {
    return limit == 0 || whole() ? limit
                                 : 1 + static_cast<std::uint64_t>(static_cast<double>(limit) * share());
  }
  /// `value` of the listed folders, for all.
  [[nodiscard]] std::uint64_t in_all(std::uint64_t value) const {
    const double all = static_cast<double>(value) / share();
    return whole() ? value : all < static_cast<double>(no_end) ? static_cast<std::uint64_t>(all) : no_end;
  }
  [[nodiscard]] std::vector<Candidate>& candidates() { return candidates_; }

 private:
  [[nodiscard]] double share() const { return static_cast<double>(seen_) / static_cast<double>(all_); }

  void read(const Folder& shard, const std::string& shard_name) {
    for_each_entry(shard, shard_name, [&](const std::string& name, const StoredFile& file) {
      candidates_.push_back({shard_name, name, file.key, file.bytes, file.modified_ns,
                             file.bytes > max_entry_bytes || is_ahead(file.modified_ns, now_)});
    });
  }

  std::vector<Candidate> candidates_;
  std::size_t seen_ = 0;
  std::size_t all_ = 0;
  std::int64_t now_ = now_ns_of_files();
};

class Trim {
 public:
  Trim(const Folder& root, const Budget& budget, const std::string& own, const FileLock& lock)
      : root_(root), budget_(budget), own_(own), lock_(lock) {}

  TrimResult run(const TrimWork& most) {
    collect();
    const Folder entries = root_.child(layout::entries);
    Listing listing(entries, most.listed, [&](const Folder& shard, const std::string&) {
      result_.collected += reap_temporaries(shard, abandoned_after, no_limit);
      lock_.touch();
    });
    count(listing.candidates());
    const Budget part{listing.part_of(budget_.bytes), listing.part_of(budget_.entries)};
    if (exceeds(part.bytes, result_.bytes) || exceeds(part.entries, result_.entries)) {
      evict(entries, listing.candidates(), keys_in_use(root_, own_),
            {aim(part.bytes, 0), aim(part.entries, 0)}, most.evicted);
    }
    result_.cut_short = result_.cut_short || (!listing.whole() && result_.evicted > 0);
    result_.bytes = listing.in_all(result_.bytes);
    result_.entries = listing.in_all(result_.entries);
    return result_;
  }

  RoomResult make_room(const Room& room, RoomUse use) {
    RoomResult out;
    const Folder entries = root_.child(layout::entries);
    Listing listing(entries, no_limit, [&](const Folder&, const std::string&) { lock_.touch(); });
    count(listing.candidates());
    std::unordered_set<Key, KeyHash> staying = keys_in_use(root_, own_);
    staying.insert(room.staying.begin(), room.staying.end());
    for (const Candidate& candidate : listing.candidates()) {
      if (staying.contains(candidate.key)) {
        out.held.bytes = capped_sum(out.held.bytes, candidate.bytes);
        ++out.held.entries;
      }
    }
    const std::uint64_t least_bytes = capped_sum(out.held.bytes, room.bytes);
    const std::uint64_t least_entries = capped_sum(out.held.entries, room.entries);
    out.fits = !exceeds(budget_.bytes, least_bytes) && !exceeds(budget_.entries, least_entries);
    const bool is_full = exceeds(budget_.bytes, capped_sum(result_.bytes, room.bytes)) ||
                         exceeds(budget_.entries, capped_sum(result_.entries, room.entries));
    if (out.fits && is_full && use == RoomUse::make) {
      evict(
          entries, listing.candidates(), staying,
          {aim(budget_.bytes, least_bytes) - room.bytes, aim(budget_.entries, least_entries) - room.entries},
          no_limit);
    }
    out.trimmed = result_;
    return out;
  }

 private:
  /// Removes what is nobody's.
  void collect() {
    result_.ran = true;
    root_.for_each(reaped_names, [&](const std::string& name) {
      if (is_other_version(name)) {
        collect_version(root_.child(name), name);
      }
    });
    for (const std::string_view name : {layout::quarantine, layout::sessions, layout::failed}) {
      result_.collected += reap_temporaries(root_.child(name), abandoned_after, no_limit);
    }
    result_.collected += reap_temporaries(root_, abandoned_after, reaped_names);
    result_.collected += reap_surplus(root_.child(layout::quarantine), layout::entry_suffix);
    result_.collected += reap_surplus(root_.child(layout::failed), layout::source_suffix);
  }

  void collect_version(const Folder& version, const std::string& version_name) {
    const std::int64_t now = now_ns_of_files();
    for_each_shard(version, [&](const Folder& shard, const std::string& shard_name) {
      for_each_entry(shard, shard_name, [&](const std::string& name, const StoredFile& file) {
        if (is_older(file.modified_ns, unused_seconds, now) && shard.remove(name)) {
          ++result_.collected;
        }
      });
      result_.collected += reap_temporaries(shard, abandoned_after, no_limit);
      ::unlinkat(version.fd(), shard_name.c_str(), AT_REMOVEDIR);
    });
    ::unlinkat(root_.fd(), version_name.c_str(), AT_REMOVEDIR);
  }

  void count(const std::vector<Candidate>& candidates) {
    result_.ran = true;
    result_.entries = candidates.size();
    for (const Candidate& candidate : candidates) {
      result_.bytes = capped_sum(result_.bytes, candidate.bytes);
    }
  }

  void evict(const Folder& entries, std::vector<Candidate>& candidates,
             const std::unordered_set<Key, KeyHash>& staying, const Budget& low, std::size_t most) {
    // After the clock was set back, what was written before it seems to come from the future, and it is
    // older.
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::tuple(!a.doubtful, a.modified_ns, a.key) < std::tuple(!b.doubtful, b.modified_ns, b.key);
    });
    for (const Candidate& candidate : candidates) {
      if (result_.bytes <= low.bytes && result_.entries <= low.entries) {
        break;
      }
      if (result_.evicted >= most) {
        result_.cut_short = true;
        break;
      }
      if (staying.contains(candidate.key)) {
        continue;
      }
      const Removed removed = remove(entries.child(candidate.shard), candidate);
      if (removed == Removed::no) {
        continue;
      }
      --result_.entries;
      result_.bytes -= std::min(result_.bytes, candidate.bytes);
      if (removed == Removed::here) {
        ++result_.evicted;
        result_.evicted_bytes += candidate.bytes;
        if (result_.evicted_keys.size() < most_evicted_keys) {
          result_.evicted_keys.push_back(candidate.key);
        }
        lock_.touch();
      }
    }
  }

  enum class Removed : std::uint8_t { no, here, elsewhere };

  /// Removes the candidate, unless it was used or published again since it was listed.
  static Removed remove(const Folder& shard, const Candidate& candidate) {
    struct stat info{};
    if (::fstatat(shard.fd(), candidate.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? Removed::elsewhere : Removed::no;
    }
    return S_ISREG(info.st_mode) && nanoseconds_of(info.st_mtim) == candidate.modified_ns &&
                   shard.remove(candidate.name)
               ? Removed::here
               : Removed::no;
  }

  const Folder& root_;
  const Budget& budget_;
  const std::string& own_;
  const FileLock& lock_;
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

TrimResult trim(const Folder& root, const Budget& budget, const std::string& own, const TrimWork& most) {
  if (!root.valid()) {
    return {};
  }
  const Folder locks = root.make_child(layout::locks);
  const FileLock lock(locks, layout::trim_lock);
  if (lock.busy() && !lock.untouched_for(stopped_seconds)) {
    return {};
  }
  lock.touch();
  const std::string due(layout::trim_due);
  static_cast<void>(Descriptor(
      ::openat(locks.fd(), due.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600)));
  collect_usage(root);
  const TrimResult result = Trim(root, budget, own, lock).run(most);
  if (!result.cut_short && !exceeds(budget.bytes, result.bytes) && !exceeds(budget.entries, result.entries)) {
    locks.remove(due);
  }
  return result;
}

bool trim_is_due(const Folder& root) {
  const std::string path = std::string(layout::locks) + '/' + std::string(layout::trim_due);
  return root.valid() && ::faccessat(root.fd(), path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

RoomResult make_room(const Folder& root, const Budget& budget, const std::string& own, const Room& room,
                     RoomUse use) {
  if (!root.valid()) {
    RoomResult out;
    out.fits = !exceeds(budget.bytes, room.bytes) && !exceeds(budget.entries, room.entries);
    return out;
  }
  // Two processes that evict at the same time harm nothing, so it is not waited for another one.
  const FileLock lock = use == RoomUse::make ? FileLock(root.make_child(layout::locks), layout::trim_lock)
                                             : FileLock(Folder(), layout::trim_lock);
  return Trim(root, budget, own, lock).make_room(room, use);
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
    bytes_left_ = result.cut_short ? 0 : step(budget_.bytes, result.bytes);
    entries_left_ = result.cut_short ? 0 : step(budget_.entries, result.entries);
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
