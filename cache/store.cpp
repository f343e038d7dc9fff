#include "cache/store.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "cache/file.hpp"

namespace kerncast::cache {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view suffix = ".kce";

/// Calls `visit(path)` for each regular file (symbolic links are not followed) directly in `folder`.
template <class Visit>
void for_each_file(const fs::path& folder, Visit&& visit) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(folder, error))) {
    return;
  }
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (fs::is_regular_file(at->symlink_status(ignored))) {
      visit(at->path());
    }
  }
}

template <class Visit>
void for_each_shard(const fs::path& root, Visit&& visit) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const char a : digits) {
    for (const char b : digits) {
      visit(root / "v1" / std::string{a, b});
    }
  }
}

std::optional<Key> key_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.ends_with(suffix)) {
    return std::nullopt;
  }
  return Key::from_hex(path.parent_path().filename().string() + name.substr(0, name.size() - suffix.size()));
}

bool is_temporary(const fs::path& path) {
  return path.filename().string().starts_with(temporary_prefix);
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
  if (const std::string xdg = environment("XDG_CACHE_HOME"); !xdg.empty()) {
    return xdg + "/kerncast";
  }
  const std::string home = environment("HOME");
  return home.empty() ? std::string() : home + "/.cache/kerncast";
}

Store::Store(std::string root, WarningSink warn) : root_(std::move(root)), warn_(std::move(warn)) {
  if (!root_.empty()) {
    std::error_code error;
    const fs::path absolute = fs::absolute(root_, error);
    root_ = error ? root_ : absolute.lexically_normal().string();
  }
}

std::string Store::path_of(const Key& key) const {
  const std::string hex = key.hex();
  return fmt::format("{}/v1/{}/{}{}", root_, hex.substr(0, 2), hex.substr(2), suffix);
}

std::optional<Entry> Store::load(const Key& key) {
  if (root_.empty()) {
    ++counters_.misses;
    return std::nullopt;
  }
  const std::string path = path_of(key);
  const std::optional<std::string> bytes = read_file(path);
  if (!bytes) {
    ++counters_.misses;
    return std::nullopt;
  }
  ParsedEntry parsed = parse(key, *bytes);
  if (!parsed.entry) {
    ++counters_.misses;
    quarantine(key, path, parsed.defect);
    return std::nullopt;
  }
  ++counters_.hits;
  return std::move(parsed.entry);
}

bool Store::publish(const Key& key, const Entry& entry) {
  if (root_.empty()) {
    warn_once("no directory",
              "no cache directory: kernels are compiled anew by every process; set KERNCAST_CACHE_DIR");
    ++counters_.failed_publishes;
    return false;
  }
  const std::string path = path_of(key);
  std::string problem = make_folders(fs::path(path).parent_path().string());
  if (problem.empty()) {
    problem = publish_file(path, serialise(key, entry));
  }
  if (!problem.empty()) {
    ++counters_.failed_publishes;
    warn_once("unwritable",
              fmt::format(
                  "cannot write to the cache directory {} ({}); kernels are compiled anew by every process. "
                  "Make it writable, free space, or set KERNCAST_CACHE_DIR",
                  root_, problem));
    return false;
  }
  ++counters_.published;
  return true;
}

void Store::quarantine(const Key& key, const std::string& path, const std::string& defect) {
  ++counters_.quarantined;
  const std::string folder = root_ + "/quarantine";
  std::error_code error;
  bool moved = false;
  if (make_folders(folder).empty()) {
    fs::rename(path, fmt::format("{}/{}{}", folder, key.hex(), suffix), error);
    moved = !error;
  }
  warn_once("quarantine " + key.hex(),
            fmt::format("cache entry {} is unusable ({}); {} and the kernel is built again", path, defect,
                        moved ? "it was moved to " + folder : "it could not be moved away"));
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
  for_each_shard(root_, [&](const fs::path& shard) {
    for_each_file(shard, [&](const fs::path& path) {
      const std::optional<Key> key = key_of(path);
      struct stat info{};
      if (key && ::stat(path.c_str(), &info) == 0) {
        files.push_back(
            {*key, path.string(), static_cast<std::uint64_t>(info.st_size),
             static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec});
      }
    });
  });
  std::sort(files.begin(), files.end(),
            [](const StoredFile& a, const StoredFile& b) { return a.key < b.key; });
  return files;
}

StoreStatistics Store::statistics() const {
  StoreStatistics out;
  for (const StoredFile& file : list()) {
    ++out.entries;
    out.bytes += file.bytes;
  }
  if (root_.empty()) {
    return out;
  }
  for_each_file(fs::path(root_) / "quarantine", [&](const fs::path&) { ++out.quarantined; });
  for_each_shard(root_, [&](const fs::path& shard) {
    for_each_file(shard, [&](const fs::path& path) { out.temporaries += is_temporary(path) ? 1 : 0; });
  });
  return out;
}

StoreStatistics Store::clear() {
  StoreStatistics removed;
  if (root_.empty()) {
    return removed;
  }
  std::error_code error;
  for (const StoredFile& file : list()) {
    if (fs::remove(file.path, error)) {
      ++removed.entries;
      removed.bytes += file.bytes;
    }
  }
  for_each_shard(root_, [&](const fs::path& shard) {
    for_each_file(shard, [&](const fs::path& path) {
      std::error_code ignored;
      removed.temporaries += is_temporary(path) && fs::remove(path, ignored) ? 1 : 0;
    });
    // Fails while a foreign file is left, as it should.
    fs::remove(shard, error);
  });
  for_each_file(fs::path(root_) / "quarantine", [&](const fs::path& path) {
    std::error_code ignored;
    removed.quarantined += path.extension() == suffix && fs::remove(path, ignored) ? 1 : 0;
  });
  for (const char* name : {"index.sqlite", "index.sqlite-journal", "index.sqlite-wal", "index.sqlite-shm"}) {
    fs::remove(fs::path(root_) / name, error);
  }
  return removed;
}

}  // namespace kerncast::cache
