#include "cache/directory/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cache/directory/compiler_marks.hpp"
#include "cache/directory/reaper.hpp"
#include "cache/layout.hpp"
#include "cache/posix/file_time.hpp"
#include "cache/posix/sqlite.hpp"
#include "cache/posix/trusted_path.hpp"
#include "cache/quarantine.hpp"
#include "runtime/util/capped_sum.hpp"
#include "runtime/util/environment.hpp"

namespace kerncast::cache {
namespace {

namespace fs = std::filesystem;

// Somebody may remove the whole directory at any moment. A publish then creates its folders again.
constexpr int write_attempts = 4;

constexpr const char* no_directory =
    "no cache directory: every process compiles its kernels again; set KERNCAST_CACHE_DIR";

/// It leaves out which file failed, so that one cause gives one message.
std::string unwritable(const std::string& root, const IoFailure& failure) {
  return fmt::format(
      "cannot write to the cache directory {} ({}); every process compiles its kernels again. "
      "Make it writable, free space, or set KERNCAST_CACHE_DIR",
      root, std::generic_category().message(failure.error));
}

std::uint64_t count_names(const Folder& folder, bool (*matches)(const std::string&)) {
  std::uint64_t count = 0;
  folder.for_each(no_limit, [&](const std::string& name) { count += matches(name) ? 1 : 0; });
  return count;
}

bool is_temporary(const std::string& name) {
  return name.starts_with(temporary_prefix);
}

bool is_quarantined(const std::string& name) {
  return (name.ends_with(layout::entry_suffix) || name.starts_with(layout::tuning)) && !is_temporary(name);
}

/// True for the name of a source that a failed compile left.
bool is_source(const std::string& name) {
  return name.ends_with(layout::source_suffix) && !is_temporary(name);
}

bool is_compiler_record(const std::string& name) {
  return name.ends_with(layout::compiler_record_suffix) && !is_temporary(name);
}

/// Sets the time of the last use. If that is not permitted, the entry is only evicted sooner.
void stamp(const FileContent& content) {
  if (is_older(nanoseconds_of(content.info.st_mtim), use_stamp_seconds, now_ns_of_files())) {
    const timespec times[] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    ::futimens(content.held.get(), times);
  }
}

}  // namespace

std::string default_directory() {
  if (std::string directory = environment("KERNCAST_CACHE_DIR"); !directory.empty()) {
    return directory;
  }
  if (const std::string xdg = environment("XDG_CACHE_HOME"); xdg.starts_with('/')) {
    return xdg + "/kerncast";
  }
  const std::string home = environment("HOME");
  return home.starts_with('/') ? home + "/.cache/kerncast" : std::string();
}

Store::Store(std::string root, WarningSink warn, Trust trust, std::optional<Budget> budget,
             std::function<std::string()> own_usage)
    : root_(std::move(root)),
      trust_(std::move(trust)),
      budget_(budget),
      schedule_(budget.value_or(Budget{0, 0})),
      own_usage_(std::move(own_usage)),
      warnings_(std::move(warn)) {
  if (!root_.empty()) {
    std::error_code error;
    const fs::path absolute = fs::absolute(root_, error);
    // After a symbolic link, `..` means another folder than the text suggests, so such a path is not
    // shortened.
    const bool climbs = std::find(absolute.begin(), absolute.end(), "..") != absolute.end();
    root_ = error ? root_ : (climbs ? absolute : absolute.lexically_normal()).string();
    while (root_.size() > 1 && root_.ends_with('/')) {
      root_.pop_back();
    }
  }
}

std::string Store::path_of(const Key& key) const {
  return fmt::format("{}/{}/{}/{}", root_, layout::entries, shard_name(key), file_name(key));
}

std::optional<Entry> Store::load(const Key& key, const EntryCheck& check) {
  if (root_.empty()) {
    ++counters_.misses;
    return std::nullopt;
  }
  const Folder shard = shard_of(key);
  const FileContent content = shard.read(file_name(key), max_entry_bytes);
  ParsedEntry parsed;
  if (content.state == FileContent::State::read) {
    parsed.defect = reason_not_trusted(content.info, trust_);
    if (parsed.defect.empty()) {
      parsed = parse(key, content.bytes);
    }
  }
  if (parsed.entry && check) {
    parsed.defect = check(*parsed.entry);
  }
  if (parsed.entry && parsed.defect.empty()) {
    ++counters_.hits;
    stamp(content);
    return std::move(parsed.entry);
  }
  ++counters_.misses;
  if (content.state == FileContent::State::foreign) {
    quarantine(key, shard, content, content.defect);
  } else if (content.state == FileContent::State::read && !parsed.other_version) {
    quarantine(key, shard, content, parsed.defect);
  }
  return std::nullopt;
}

Folder Store::trusted(Folder folder) {
  const std::string path = folder.path();
  folder = cache::trusted(std::move(folder), trust_);
  if (folder.failure().error == not_trusted) {
    failed("untrusted",
           fmt::format("the cache directory {} is not used: {}, and whoever writes there chooses the code "
                       "that runs here; make it yours alone (chmod go-w), set KERNCAST_CACHE_DIR, or set "
                       "KERNCAST_CACHE_TRUST=1",
                       path, folder.failure().text));
  }
  return folder;
}

std::string Store::keep_failed(const std::string& name, std::string_view text) {
  const Folder folder =
      root_.empty() ? Folder() : trusted(trusted(Folder::make(root_)).make_child(layout::failed));
  if (!folder.valid() || folder.publish(name, text)) {
    return {};
  }
  // If every compile fails, nothing is published, and no trim would do this.
  reap_surplus(folder, layout::source_suffix, name);
  return folder.path() + '/' + name;
}

Folder Store::shard_of(const Key& key) {
  std::atomic<bool>& known = trusted_shards_[static_cast<std::size_t>(key.high >> 56)];
  const Folder root = trusted(Folder::open(root_));
  if (known.load(std::memory_order_relaxed)) {
    return root.child(layout::entries).child(shard_name(key));
  }
  Folder shard = trusted(trusted(root.child(layout::entries)).child(shard_name(key)));
  if (shard.valid()) {
    known.store(true, std::memory_order_relaxed);
  }
  return shard;
}

void Store::failed(const std::string& kind, std::string message) {
  warnings_.once(kind, message);
  const std::lock_guard lock(failure_mutex_);
  failure_ = std::move(message);
}

std::string Store::last_failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

std::string Store::defect() {
  if (root_.empty()) {
    return no_directory;
  }
  const Folder root = trusted(Folder::make(root_));
  if (root.failure().error == not_trusted) {
    return last_failure();
  }
  constexpr std::string_view probe = ".probe";
  const IoFailure failure = root.valid() ? root.publish(probe, probe) : root.failure();
  if (failure) {
    return unwritable(root_, failure);
  }
  root.remove(probe);
  return {};
}

std::string Store::unreadable() const {
  const Folder root = Folder::open(root_);
  const Folder entries = root.valid() ? root.child(layout::entries) : Folder();
  for (const Folder* folder : {&root, &entries}) {
    if (folder->failure() && folder->failure().error != ENOENT) {
      return folder->failure().text;
    }
  }
  std::string defect;
  entries.for_each(no_limit, [&](const std::string& name) {
    if (const IoFailure failure = is_shard_name(name) ? entries.child(name).failure() : IoFailure();
        failure.error == EACCES || failure.error == EIO) {
      defect = failure.text;
    }
  });
  return defect;
}

bool Store::usable() {
  return !root_.empty() && trusted(Folder::make(root_)).valid();
}

bool Store::publish(const Key& key, const Entry& entry) {
  if (root_.empty()) {
    failed("no directory", no_directory);
    ++counters_.failed_publishes;
    return false;
  }
  const std::string bytes = serialise(key, entry);
  if (bytes.size() > max_entry_bytes) {
    failed("too large " + key.hex(),
           fmt::format("{} [{}] is not cached: its entry of {} bytes is larger than {}", entry.op, entry.spec,
                       bytes.size(), max_entry_bytes));
    ++counters_.failed_publishes;
    return false;
  }
  mark(entry);
  if (const IoFailure failure = write(key, bytes)) {
    ++counters_.failed_publishes;
    if (failure.error == not_trusted) {
      return false;
    }
    failed("unwritable", unwritable(root_, failure));
    return false;
  }
  ++counters_.published;
  return true;
}

void Store::mark(const Entry& entry) {
  const std::lock_guard lock(marked_mutex_);
  if (std::string version = compiler_of(entry); !marked_.contains(version)) {
    if (mark_compiler(trusted(Folder::make(root_)), version)) {
      marked_.insert(std::move(version));
    }
  }
}

bool Store::promote(const Key& key, const Entry& entry) {
  if (root_.empty()) {
    return false;
  }
  mark(entry);
  const std::string bytes = serialise(key, entry);
  return bytes.size() <= max_entry_bytes && !write(key, bytes);
}

Peeked Store::peek(const Key& key) const {
  const Folder shard =
      cache::trusted(Folder::open(root_), trust_).child(layout::entries).child(shard_name(key));
  FileContent content = shard.read(file_name(key), max_entry_bytes);
  Peeked out;
  out.present = content.state != FileContent::State::absent;
  out.parsed.defect = std::move(content.defect);
  if (content.state == FileContent::State::read) {
    out.parsed.defect = reason_not_trusted(content.info, trust_);
    if (out.parsed.defect.empty()) {
      out.parsed = parse(key, content.bytes);
    }
  }
  return out;
}

Holding Store::holding(const Key& key) const {
  const Peeked found = peek(key);
  if (!found.present) {
    return Holding::nothing;
  }
  return found.parsed.entry ? Holding::sound : Holding::unsound;
}

void Store::log(const Event& event) const {
  if (!root_.empty()) {
    append_event(cache::trusted(Folder::open(root_), trust_), trust_, event);
  }
}

IoFailure Store::write(const Key& key, const std::string& bytes) {
  IoFailure failure = try_write(key, bytes);
  for (int attempt = 1; attempt < write_attempts && (failure.error == ENOENT || failure.error == EISDIR);
       ++attempt) {
    failure = try_write(key, bytes);
  }
  if (!failure && budget_ && schedule_.published(bytes.size())) {
    trim();
  }
  return failure;
}

void Store::trim() {
  const TrimResult result = cache::trim(open_root(), *budget_, own_usage_ ? own_usage_() : std::string());
  schedule_.trimmed(result);
  count_evicted(result);
}

void Store::count_evicted(const TrimResult& result) {
  counters_.evicted += result.evicted;
  counters_.evicted_bytes += result.evicted_bytes;
  if (result.evicted > 0) {
    log({EventKind::eviction,
         std::nullopt,
         {},
         {},
         {},
         {{"entries", result.evicted}, {"bytes", result.evicted_bytes}, {"entries_left", result.entries}},
         result.evicted_keys});
  }
}

void Store::finish_trim() {
  if (budget_ && !root_.empty() && trim_is_due(Folder::open(root_))) {
    trim();
  }
}

RoomResult Store::make_room(const Room& room, RoomUse use) {
  const RoomResult result =
      cache::make_room(root_.empty() ? Folder() : cache::trusted(Folder::open(root_), trust_),
                       budget_.value_or(Budget{0, 0}), own_usage_ ? own_usage_() : std::string(), room, use);
  count_evicted(result.trimmed);
  return result;
}

IoFailure Store::try_write(const Key& key, const std::string& bytes) {
  const Folder root = trusted(Folder::make(root_));
  if (!root.valid()) {
    return root.failure();
  }
  const Folder entries = trusted(root.make_child(layout::entries));
  if (!entries.valid()) {
    return entries.failure();
  }
  const Folder shard = trusted(entries.make_child(shard_name(key)));
  if (!shard.valid()) {
    return shard.failure();
  }
  IoFailure failure = shard.publish(file_name(key), bytes);
  if (failure.error == EISDIR) {
    // A rename cannot replace a folder, as it replaces everything else in an entry's place.
    if (const FileContent content = shard.read(file_name(key), max_entry_bytes);
        content.state == FileContent::State::foreign) {
      quarantine(key, shard, content, content.defect);
    }
  }
  if (!failure) {
    reap(root, shard);
  }
  return failure;
}

void Store::reap(const Folder& root, const Folder& shard) {
  // A writer killed in this shard was publishing a key of this shard, and that key will be published here
  // again.
  reap_temporaries(shard, abandoned_after, reaped_names);
  if (!reaped_.exchange(true)) {
    reap_temporaries(root.child(layout::quarantine), abandoned_after, reaped_names);
    reap_locks(root.child(layout::locks), abandoned_after, reaped_names);
  }
}

void Store::quarantine(const Key& key, const Folder& shard, const FileContent& content,
                       const std::string& defect) {
  const Folder folder = trusted(trusted(Folder::open(root_)).make_child(layout::quarantine));
  const SetAside outcome =
      set_aside(shard, file_name(key), content.held, folder, key.hex().append(layout::entry_suffix));
  if (outcome == SetAside::replaced) {
    return;
  }
  ++counters_.quarantined;
  if (outcome == SetAside::moved) {
    log({EventKind::quarantine, key, {}, {}, defect});
  }
  warnings_.once(
      "quarantine " + key.hex(),
      fmt::format(
          "cache entry {} is unusable ({}); {} and the kernel is compiled again", path_of(key), defect,
          outcome == SetAside::moved ? "it was moved to " + folder.path() : "it could not be moved away"));
}

std::vector<StoredFile> Store::list() const {
  std::vector<StoredFile> files;
  if (root_.empty()) {
    return files;
  }
  for_each_shard(Folder::open(root_).child(layout::entries),
                 [&](const Folder& shard, const std::string& shard_name) {
                   for_each_entry(shard, shard_name,
                                  [&](const std::string&, const StoredFile& file) { files.push_back(file); });
                 });
  std::sort(files.begin(), files.end(),
            [](const StoredFile& a, const StoredFile& b) { return a.key < b.key; });
  return files;
}

StoreStatistics Store::statistics() const {
  StoreStatistics out;
  if (root_.empty()) {
    return out;
  }
  const Folder root = Folder::open(root_);
  for_each_shard(root.child(layout::entries), [&](const Folder& shard, const std::string& shard_name) {
    for_each_entry(shard, shard_name, [&](const std::string&, const StoredFile& file) {
      ++out.entries;
      out.bytes = capped_sum(out.bytes, file.bytes);
    });
    out.temporaries += count_names(shard, is_temporary);
  });
  const Folder quarantine = root.child(layout::quarantine);
  const Folder sources = root.child(layout::failed);
  out.quarantined = count_names(quarantine, is_quarantined);
  out.sources = count_names(sources, is_source);
  for (const Folder* folder : {&quarantine, &sources, &root}) {
    out.temporaries += count_names(*folder, is_temporary);
  }
  return out;
}

StoreStatistics Store::remove(const std::function<bool(const StoredFile&)>& unwanted) {
  const StoreStatistics removed = remove_entries(unwanted);
  log_clear(removed, "some entries");
  return removed;
}

void Store::log_clear(const StoreStatistics& removed, const char* reason) const {
  log({EventKind::clear,
       std::nullopt,
       {},
       {},
       reason,
       {{"entries", removed.entries},
        {"bytes", removed.bytes},
        {"quarantined", removed.quarantined},
        {"sources", removed.sources},
        {"failed", removed.failed}}});
}

StoreStatistics Store::remove_entries(const std::function<bool(const StoredFile&)>& unwanted) {
  StoreStatistics removed;
  for_each_shard(trusted(open_root().child(layout::entries)),
                 [&](const Folder& shard, const std::string& shard_name) {
                   for_each_entry(shard, shard_name, [&](const std::string& name, const StoredFile& file) {
                     if (!unwanted(file)) {
                       return;
                     }
                     if (shard.remove(name)) {
                       ++removed.entries;
                       removed.bytes = capped_sum(removed.bytes, file.bytes);
                     } else {
                       removed.failed += errno == ENOENT ? 0 : 1;
                     }
                   });
                 });
  return removed;
}

void Store::clear_kept(const Folder& root, std::string_view name, bool (*is_kept_file)(const std::string&),
                       std::uint64_t& gone, std::uint64_t& left) {
  const Folder folder = trusted(root.child(name));
  if (!folder.valid()) {
    left += count_names(root.child(name), is_kept_file);
  }
  folder.for_each(no_limit, [&](const std::string& file) {
    if (is_kept_file(file)) {
      ++(folder.remove(file) || errno == ENOENT ? gone : left);
    }
  });
}

StoreStatistics Store::clear() {
  if (root_.empty()) {
    return {};
  }
  StoreStatistics removed = remove_entries([](const StoredFile&) { return true; });
  const Folder root = open_root();
  if (!root.valid()) {
    return removed;
  }
  const auto clear_temporaries = [&](const Folder& folder) {
    removed.temporaries += reap_temporaries(folder, unlocked_at_first, no_limit);
  };
  for_each_shard(root.child(layout::entries),
                 [&](const Folder& shard, const std::string&) { clear_temporaries(shard); });
  clear_kept(root, layout::quarantine, is_quarantined, removed.quarantined, removed.failed);
  clear_kept(root, layout::failed, is_source, removed.sources, removed.failed);
  std::uint64_t compilers = 0;
  clear_kept(root, layout::compiler_records, is_compiler_record, compilers, removed.failed);
  for (const std::string_view name : {layout::quarantine, layout::failed, layout::compiler_records}) {
    clear_temporaries(trusted(root.child(name)));
  }
  clear_temporaries(root);
  reap_locks(root.child(layout::locks), unlocked_at_first, no_limit);
  sqlite::remove(root, std::string(layout::index));
  log_clear(removed, "all entries");
  return removed;
}

}  // namespace kerncast::cache
