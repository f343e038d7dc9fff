#include "cache/directory/process_usage.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "cache/layout.hpp"
#include "cache/posix/byte_order.hpp"
#include "cache/posix/file_lock.hpp"
#include "cache/posix/file_time.hpp"
#include "cache/posix/signal_guard.hpp"

namespace kerncast::cache {
namespace {

// On a file system without locks, a file that was not written to for this long belongs to a dead process.
constexpr std::int64_t silent_seconds = std::int64_t{7} * 24 * 3600;
// With this many files, the files of ended processes are added up.
constexpr std::size_t many_files = 64;
// Each of these is open while they are added up, and the host may have few descriptors.
constexpr std::size_t files_at_once = 16;
constexpr std::uint64_t max_usage_bytes = ProcessUsage::most_bytes;
// Most bytes that the counters of a usage file can have.
constexpr std::size_t most_counter_bytes = std::size_t{64} << 10;
constexpr std::uint64_t key_bytes = 16;
constexpr int torn_reads = 3;
constexpr std::chrono::seconds longest_addition(5);

bool write_at(int fd, std::string_view bytes, off_t at) {
  const SignalGuard guard(SIGXFSZ);
  return ::pwrite(fd, bytes.data(), bytes.size(), at) == static_cast<ssize_t>(bytes.size());
}

std::string bytes_of(const Key& key) {
  Writer out;
  out.integer(key.high);
  out.integer(key.low);
  return out.take();
}

enum class Owner : std::uint8_t { living, dead, unknown };

/// Tells whether the process that owns the file is running. If it is dead, this process holds the file's lock
/// until `held` is destroyed.
Owner owner_of(const FileContent& held) {
  if (::flock(held.held.get(), LOCK_EX | LOCK_NB) == 0) {
    return Owner::dead;
  }
  if (errno == EWOULDBLOCK) {
    return Owner::living;
  }
  return is_older(nanoseconds_of(held.info.st_mtim), silent_seconds, now_ns_of_files()) ? Owner::dead
                                                                                        : Owner::unknown;
}

void for_each_usage(const Folder& sessions,
                    const std::function<void(const std::string&, const FileContent&)>& visit) {
  sessions.for_each(no_limit, [&](const std::string& name) {
    if (name.ends_with(layout::session_suffix)) {
      if (const FileContent content = sessions.read(name, max_usage_bytes);
          content.state == FileContent::State::read) {
        visit(name, content);
      }
    }
  });
}

/// The lock of the process that adds counters up, so that none is missed or counted twice while it moves them
/// from one file to another. It may be held in vain, by a process that is stopped, and it is not taken where
/// nothing may be written.
std::unique_ptr<FileLock> wait_for_counters(const Folder& root) {
  if (!root.valid() || !reason_not_trusted(root.fd(), Trust::mine).empty()) {
    return nullptr;
  }
  const Folder locks = root.child(layout::locks);
  auto lock = std::make_unique<FileLock>(locks, layout::counters_lock);
  const auto patience = std::chrono::steady_clock::now() + longest_addition;
  while (lock->busy() && std::chrono::steady_clock::now() < patience) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    lock = std::make_unique<FileLock>(locks, layout::counters_lock);
  }
  return lock;
}

/// True for a file that can be a usage file, or is one but for its size.
bool is_collectable(const FileContent& content) {
  return content.state == FileContent::State::read ||
         (content.state == FileContent::State::foreign && S_ISREG(content.info.st_mode));
}

/// The counters in a usage file of any size. Zeros if there are none.
CacheCounters counters_in(const FileContent& content) {
  if (content.state == FileContent::State::read) {
    return parse_counters(content.bytes).value_or(CacheCounters{});
  }
  std::string head(most_counter_bytes, '\0');
  const ssize_t got = ::pread(content.held.get(), head.data(), head.size(), 0);
  head.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return parse_counters(head).value_or(CacheCounters{});
}

CacheCounters read_totals(const Folder& root) {
  const FileContent content = root.read(layout::counters, max_usage_bytes);
  return content.state == FileContent::State::read ? parse_counters(content.bytes).value_or(CacheCounters{})
                                                   : CacheCounters{};
}

}  // namespace

ProcessUsage::~ProcessUsage() {
  if (!file_.valid() || process_ != ::getpid()) {
    return;
  }
  static_cast<void>(file_.close());
  try {
    collect_usage(open_root());
  } catch (const std::exception&) {
    return;  // The next process collects them.
  }
}

void ProcessUsage::begin(const CacheCounters& counters) {
  inherited_ = process_ == 0 ? CacheCounters{} : counters;
  process_ = ::getpid();
  file_ = {};
  name_.clear();
  const Folder sessions = trusted(open_root().make_child(layout::sessions), trust_);
  if (!sessions.valid()) {
    return;
  }
  std::string bytes = serialise_counters(counters - inherited_);
  for (const Key& key : keys_) {
    if (bytes.size() + key_bytes > limit_) {
      break;
    }
    bytes += bytes_of(key);
  }
  name_ = temporary_name().substr(temporary_prefix.size()).append(layout::session_suffix);
  file_ = sessions.create_locked(name_, bytes);
  end_ = static_cast<off_t>(bytes.size());
  std::size_t files = 0;
  sessions.for_each(many_files, [&](const std::string&) { ++files; });
  if (files == many_files) {
    collect_usage(open_root());
  }
}

bool ProcessUsage::used(const Key& key, const std::function<CacheCounters()>& counters) {
  if (root_.empty()) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  const bool is_new = keys_.insert(key).second;
  if (process_ != ::getpid()) {
    begin(counters());
    return true;
  }
  if (is_new && file_.valid()) {
    if (static_cast<std::uint64_t>(end_) + key_bytes <= limit_ &&
        write_at(file_.get(), bytes_of(key), end_)) {
      end_ += static_cast<off_t>(key_bytes);
    }
    write_counters(counters());
  }
  return false;
}

void ProcessUsage::count(const CacheCounters& counters) {
  const std::lock_guard lock(mutex_);
  if (file_.valid() && process_ == ::getpid()) {
    write_counters(counters);
  }
}

std::string ProcessUsage::name() {
  const std::lock_guard lock(mutex_);
  return file_.valid() ? name_ : std::string();
}

void ProcessUsage::write_counters(const CacheCounters& counters) const {
  write_at(file_.get(), serialise_counters(counters - inherited_), 0);
}

CacheCounters counters_of(const Folder& root) {
  const std::unique_ptr<FileLock> lock = wait_for_counters(root);
  CacheCounters sum = read_totals(root);
  const Folder sessions = root.child(layout::sessions);
  for_each_usage(sessions, [&](const std::string& name, const FileContent& content) {
    std::optional<CacheCounters> counters = parse_counters(content.bytes);
    // A living process may be writing its counters at this moment.
    for (int i = 0; i < torn_reads && !counters; ++i) {
      counters = parse_counters(sessions.read(name, max_usage_bytes).bytes);
    }
    sum += counters.value_or(CacheCounters{});
  });
  return sum;
}

namespace {

/// Adds up and removes at most files_at_once files of ended processes. True if there may be more.
bool collect_some(const Folder& root, const Folder& sessions) {
  CacheCounters sum;
  std::vector<std::pair<std::string, Descriptor>> dead;
  sessions.for_each(no_limit, [&](const std::string& name) {
    if (dead.size() == files_at_once || !name.ends_with(layout::session_suffix)) {
      return;
    }
    FileContent content = sessions.read(name, max_usage_bytes);
    if (is_collectable(content) && owner_of(content) == Owner::dead) {
      sum += counters_in(content);
      dead.emplace_back(name, std::move(content.held));
    }
  });
  if (dead.empty()) {
    return false;
  }
  sum += read_totals(root);
  if (root.publish(layout::counters, serialise_counters(sum))) {
    return false;
  }
  bool removed = false;
  for (const auto& [name, held] : dead) {
    removed = (sessions.names(name, held.get()) && sessions.remove(name)) || removed;
  }
  return removed && dead.size() == files_at_once;
}

}  // namespace

void collect_usage(const Folder& root) {
  if (!root.valid()) {
    return;
  }
  const Folder sessions = root.child(layout::sessions);
  const FileLock lock(root.make_child(layout::locks), layout::counters_lock);
  if (!sessions.valid() || lock.busy()) {
    return;
  }
  while (collect_some(root, sessions)) {
  }
}

std::unordered_set<Key, KeyHash> keys_in_use(const Folder& root, const std::string& own) {
  std::unordered_set<Key, KeyHash> keys;
  for_each_usage(root.child(layout::sessions), [&](const std::string& name, const FileContent& content) {
    if (name == own || owner_of(content) == Owner::dead) {
      return;
    }
    std::size_t at = content.bytes.size();
    static_cast<void>(parse_counters(content.bytes, &at));
    Reader in(std::string_view(content.bytes).substr(at));
    while (!in.done()) {
      const auto high = in.integer<std::uint64_t>();
      const auto low = in.integer<std::uint64_t>();
      if (!in.ok()) {
        break;
      }
      keys.insert({high, low});
    }
  });
  return keys;
}

}  // namespace kerncast::cache
