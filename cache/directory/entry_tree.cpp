#include "cache/directory/entry_tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "cache/layout.hpp"
#include "cache/posix/file_time.hpp"

namespace kerncast::cache {
namespace {

std::optional<Key> key_of(const std::string& shard, std::string_view name) {
  if (!name.ends_with(layout::entry_suffix)) {
    return std::nullopt;
  }
  name.remove_suffix(layout::entry_suffix.size());
  return Key::from_hex(shard + std::string(name));
}

}  // namespace

std::string shard_name(const Key& key) {
  return key.hex().substr(0, 2);
}

std::string file_name(const Key& key) {
  return key.hex().substr(2).append(layout::entry_suffix);
}

bool is_shard_name(std::string_view name) {
  return name.size() == 2 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

void for_each_shard(const Folder& entries,
                    const std::function<void(const Folder&, const std::string&)>& visit) {
  entries.for_each(no_limit, [&](const std::string& name) {
    if (const Folder shard = is_shard_name(name) ? entries.child(name) : Folder(); shard.valid()) {
      visit(shard, name);
    }
  });
}

std::vector<Key> keys_in(const Folder& entries, std::string& defect) {
  std::vector<Key> keys;
  const auto opened = [&](const Folder& folder) {
    if (!folder.valid() && folder.failure().error != ENOENT) {
      defect = folder.failure().text;
    }
    return folder.valid();
  };
  if (!opened(entries)) {
    return keys;
  }
  entries.for_each(no_limit, [&](const std::string& shard_name) {
    if (!is_shard_name(shard_name)) {
      return;
    }
    if (const Folder shard = entries.child(shard_name); opened(shard)) {
      shard.for_each(no_limit, [&](const std::string& name) {
        if (const std::optional<Key> key = key_of(shard_name, name)) {
          keys.push_back(*key);
        }
      });
    }
  });
  std::sort(keys.begin(), keys.end());
  return keys;
}

void for_each_entry(const Folder& shard, const std::string& shard_name,
                    const std::function<void(const std::string&, const StoredFile&)>& visit) {
  shard.for_each(no_limit, [&](const std::string& name) {
    const std::optional<Key> key = key_of(shard_name, name);
    struct stat info{};
    if (key && ::fstatat(shard.fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(info.st_mode)) {
      visit(name, StoredFile{*key, shard.path() + '/' + name, static_cast<std::uint64_t>(info.st_size),
                             nanoseconds_of(info.st_mtim)});
    }
  });
}

}  // namespace kerncast::cache
