#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// A hit sets the file's modification time to now if that time is at least this old, so that a use costs a
/// write once an hour at most.
constexpr std::int64_t use_stamp_seconds = 3600;

/// One entry file.
struct StoredFile {
  Key key;
  std::string path;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;  ///< time of the last use, to within use_stamp_seconds
};

/// The names of a key's folder and file. They consist of the key's hex digits (and the suffix), so they can
/// never be a path.
[[nodiscard]] std::string shard_name(const Key& key);
[[nodiscard]] std::string file_name(const Key& key);

/// True if a folder of entries may be called `name`.
[[nodiscard]] bool is_shard_name(std::string_view name);

/// Calls `visit(shard, name)` for each folder of entries below `entries` (ROOT/v1).
void for_each_shard(const Folder& entries,
                    const std::function<void(const Folder&, const std::string&)>& visit);
/// The keys in whose places below `entries` (ROOT/v1) there is something, in order: an entry, a damaged one,
/// or a thing that is no file. If a folder of entries cannot be opened, `defect` receives the reason.
[[nodiscard]] std::vector<Key> keys_in(const Folder& entries, std::string& defect);
/// Calls `visit(name, file)` for each entry file of a shard. Skips files that are not named like entries.
void for_each_entry(const Folder& shard, const std::string& shard_name,
                    const std::function<void(const std::string&, const StoredFile&)>& visit);

}  // namespace kerncast::cache
