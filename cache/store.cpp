#include "cache/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "cache/layout.hpp"
#include "cache/quarantine.hpp"
#include "cache/reaper.hpp"

namespace kerncast::cache {
namespace {

namespace fs = std::filesystem;

// Somebody may remove the whole directory at any moment; a publish then makes its folders anew.
constexpr int write_attempts = 4;

std::string shard_name(const Key& key) {
  return key.hex().substr(0, 2);
}

std::string file_name(const Key& key) {
  return key.hex().substr(2).append(layout::entry_suffix);
}

std::optional<Key> key_of(const std::string& shard, std::string_view name) {
  if (!name.ends_with(layout::entry_suffix)) {
    return std::nullopt;
  }
  name.remove_suffix(layout::entry_suffix.size());
  return Key::from_hex(shard + std::string(name));
}

template <class Visit>
void for_each_shard(const Folder& root, Visit&& visit) {
  const Folder entries = root.child(layout::entries);
  entries.for_each(no_limit, [&](const std::string& name) {
    const bool is_shard = name.size() == 2 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (const Folder shard = is_shard ? entries.child(name) : Folder(); shard.valid()) {
      visit(shard, name);
    }
  });
}

/// Calls `visit(name, stored)` for each entry of a shard.
template <class Visit>
void for_each_entry(const Folder& shard, const std::string& shard_name, Visit&& visit) {
  shard.for_each(no_limit, [&](const std::string& name) {
    const std::optional<Key> key = key_of(shard_name, name);
    struct stat info{};
    if (key && ::fstatat(shard.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode)) {
      visit(name, StoredFile{
                      *key, shard.path() + '/' + name, static_cast<std::uint64_t>(info.st_size),
                      static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec});
    }
  });
}

std::uint64_t count_names(const Folder& folder, bool (*matches)(const std::string&)) {
  std::uint64_t count = 0;
  folder.for_each(no_limit, [&](const std::string& name) { count += matches(name) ? 1 : 0; });
  return count;
}

bool is_temporary(const std::string& name) {
  return name.starts_with(layout::temporary_prefix);
}

bool is_quarantined(const std::string& name) {
  return name.ends_with(layout::entry_suffix) && !is_temporary(name);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
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

Store::Store(std::string root, WarningSink warn) : root_(std::move(root)), warn_(std::move(warn)) {
  if (!root_.empty()) {
    std::error_code error;
    const fs::path absolute = fs::absolute(root_, error);
    // `..` after a symbolic link is not what the text says, so such a path is left as it is.
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

std::optional<Entry> Store::load(const Key& key) {
  if (root_.empty()) {
    ++counters_.misses;
    return std::nullopt;
  }
  const Folder shard = Folder::open(root_).child(layout::entries).child(shard_name(key));
  const FileContent content = shard.read(file_name(key), layout::max_entry_bytes);
  ParsedEntry parsed;
  if (content.state == FileContent::State::read) {
    parsed = parse(key, content.bytes);
  }
  if (parsed.entry) {
    ++counters_.hits;
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

bool Store::publish(const Key& key, const Entry& entry) {
  if (root_.empty()) {
    warn_once("no directory",
              "no cache directory: kernels are compiled anew by every process; set KERNCAST_CACHE_DIR");
    ++counters_.failed_publishes;
    return false;
  }
  const std::string bytes = serialise(key, entry);
  if (bytes.size() > layout::max_entry_bytes) {
    warn_once("too large " + key.hex(),
              fmt::format("{} [{}] is not cached: its entry of {} bytes is larger than {}", entry.op,
                          entry.spec, bytes.size(), layout::max_entry_bytes));
    ++counters_.failed_publishes;
    return false;
  }
  IoFailure failure = write(key, bytes);
  for (int attempt = 1; attempt < write_attempts && failure.error == ENOENT; ++attempt) {
    failure = write(key, bytes);
  }
  if (failure) {
    ++counters_.failed_publishes;
    warn_once("unwritable",
              fmt::format(
                  "cannot write to the cache directory {} ({}); kernels are compiled anew by every process. "
                  "Make it writable, free space, or set KERNCAST_CACHE_DIR",
                  root_, failure.text));
    return false;
  }
  ++counters_.published;
  return true;
}

IoFailure Store::write(const Key& key, const std::string& bytes) {
  const Folder root = Folder::make(root_);
  if (!root.valid()) {
    return root.failure();
  }
  const Folder entries = root.make_child(layout::entries);
  if (!entries.valid()) {
    return entries.failure();
  }
  const Folder shard = entries.make_child(shard_name(key));
  if (!shard.valid()) {
    return shard.failure();
  }
  IoFailure failure = shard.publish(file_name(key), bytes);
  if (!failure) {
    reap(root, shard);
  }
  return failure;
}

void Store::reap(const Folder& root, const Folder& shard) {
  // A writer killed in this shard wanted a key of this shard, which is published here again sooner or later.
  reap_temporaries(shard, abandoned_after, reaped_names);
  if (!reaped_.exchange(true)) {
    reap_temporaries(root.child(layout::quarantine), abandoned_after, reaped_names);
    reap_locks(root.child(layout::locks), abandoned_after, reaped_names);
  }
}

void Store::quarantine(const Key& key, const Folder& shard, const FileContent& content,
                       const std::string& defect) {
  const Folder folder = Folder::open(root_).make_child(layout::quarantine);
  const SetAside outcome =
      set_aside(shard, file_name(key), content.held, folder, key.hex().append(layout::entry_suffix));
  if (outcome == SetAside::replaced) {
    return;
  }
  ++counters_.quarantined;
  warn_once(
      "quarantine " + key.hex(),
      fmt::format(
          "cache entry {} is unusable ({}); {} and the kernel is built again", path_of(key), defect,
          outcome == SetAside::moved ? "it was moved to " + folder.path() : "it could not be moved away"));
}

void Store::warn_once(const std::string& kind, const std::string& message) {
  {
    const std::lock_guard lock(warned_mutex_);
    if (!warned_.insert(kind).second) {
      return;
    }
  }
  if (warn_) {
    warn_(message);
  }
}

std::vector<StoredFile> Store::list() const {
  std::vector<StoredFile> files;
  if (root_.empty()) {
    return files;
  }
  for_each_shard(Folder::open(root_), [&](const Folder& shard, const std::string& shard_name) {
    for_each_entry(shard, shard_name,
                   [&](const std::string&, StoredFile file) { files.push_back(std::move(file)); });
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
  for_each_shard(root, [&](const Folder& shard, const std::string& shard_name) {
    for_each_entry(shard, shard_name, [&](const std::string&, const StoredFile& file) {
      ++out.entries;
      out.bytes += file.bytes;
    });
    out.temporaries += count_names(shard, is_temporary);
  });
  const Folder quarantine = root.child(layout::quarantine);
  out.quarantined = count_names(quarantine, is_quarantined);
  out.temporaries += count_names(quarantine, is_temporary) + count_names(root, is_temporary);
  return out;
}

StoreStatistics Store::clear() {
  StoreStatistics removed;
  if (root_.empty()) {
    return removed;
  }
  const Folder root = Folder::open(root_);
  const auto clear_temporaries = [&](const Folder& folder) {
    removed.temporaries += reap_temporaries(folder, unlocked_at_first, no_limit);
  };
  for_each_shard(root, [&](const Folder& shard, const std::string& shard_name) {
    for_each_entry(shard, shard_name, [&](const std::string& name, const StoredFile& file) {
      if (shard.remove(name)) {
        ++removed.entries;
        removed.bytes += file.bytes;
      }
    });
    clear_temporaries(shard);
  });
  const Folder quarantine = root.child(layout::quarantine);
  quarantine.for_each(no_limit, [&](const std::string& name) {
    removed.quarantined += is_quarantined(name) && quarantine.remove(name) ? 1 : 0;
  });
  clear_temporaries(quarantine);
  clear_temporaries(root);
  reap_locks(root.child(layout::locks), unlocked_at_first, no_limit);
  for (const char* ending : {"", "-journal", "-wal", "-shm"}) {
    root.remove(std::string(layout::index) + ending);
  }
  return removed;
}

}  // namespace kerncast::cache
