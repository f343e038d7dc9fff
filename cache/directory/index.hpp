#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"

namespace kerncast::cache {

/// One entry in a listing.
struct IndexedEntry {
  std::string key;
  std::string op;
  std::string spec;
  std::string arch;
  std::uint64_t bytes = 0;
  std::int64_t modified_ns = 0;
};

/// The entries of `store` in order of op, spec and arch. They come from its SQLite index, which is brought up
/// to date: only new and changed files are opened. The index holds nothing that the files do not hold. An
/// index that is damaged or has anything else in its schema is rebuilt. An index that is locked, unreadable,
/// read-only, of a newer build, on a network file system or not a regular file is left alone; then the files
/// are read.
///
///     PRAGMA user_version = 1
///     entry(key TEXT PRIMARY KEY, op TEXT, spec TEXT, arch TEXT, bytes INTEGER, modified_ns INTEGER)
[[nodiscard]] std::vector<IndexedEntry> list_entries(Store& store);

/// The defect of the index of `store`. Empty if it is sound, of a newer build, or does not exist. Nothing is
/// changed.
[[nodiscard]] std::string index_defect(Store& store);

}  // namespace kerncast::cache
