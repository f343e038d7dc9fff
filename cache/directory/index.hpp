#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"

namespace kerncast::cache {

/// What a listing shows of one entry.
struct IndexedEntry {
  std::string key;
  std::string op;
  std::string spec;
  std::string arch;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
};

/// The entries of `store` in order of op, spec and arch, from its SQLite index brought up to date: only files
/// that are new or changed are opened. The index holds nothing that the files do not. One that SQLite finds
/// damaged, or whose tables are not these, is made anew; one that is locked, unreadable, read-only, of a
/// newer build, on a network file system or no regular file is left alone, and the files are read instead.
///
///     PRAGMA user_version = 1
///     entry(key TEXT PRIMARY KEY, op TEXT, spec TEXT, arch TEXT, bytes INTEGER, modified_ns INTEGER)
[[nodiscard]] std::vector<IndexedEntry> list_entries(Store& store);

}  // namespace kerncast::cache
