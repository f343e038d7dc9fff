#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// Age at which a temporary file is abandoned. No publish takes this long; on a file system without locks,
/// age is the only sign that a writer is dead.
constexpr std::chrono::seconds abandoned_after = std::chrono::minutes(10);
/// Age below which an unlocked file is left alone: its writer locks it within microseconds of creating it.
constexpr std::chrono::seconds unlocked_at_first = std::chrono::seconds(2);
/// Most names examined in one folder, so that the work that a publish does for others is bounded.
constexpr std::size_t reaped_names = 1024;

/// Removes the temporary files in `folder` whose writers are dead: not locked, and last written at least
/// `age` ago. Examines at most `limit` names. Returns the number of removed files.
std::uint64_t reap_temporaries(const Folder& folder, std::chrono::seconds age, std::size_t limit);

/// Removes the lock files in `locks` that killed processes left: nobody holds them, and they are at least
/// `age` old. Examines at most `limit` names. Returns the number of removed files.
std::uint64_t reap_locks(const Folder& locks, std::chrono::seconds age, std::size_t limit);

/// Most files, and most bytes of them, that are kept of what is there for people to look at: quarantined
/// entries, and sources of failed compiles.
constexpr std::size_t most_kept_files = 64;
constexpr std::uint64_t most_kept_bytes = std::uint64_t{64} << 20;

/// Removes files of `folder` whose names end with `suffix`, and that are no temporary files, until no more
/// than most_kept_files and most_kept_bytes are left. A file whose date lies ahead of the clock or that is
/// larger than an entry goes first, then the oldest. The file called `spared` stays. Returns the number of
/// removed files.
std::uint64_t reap_surplus(const Folder& folder, std::string_view suffix, std::string_view spared = {});

}  // namespace kerncast::cache
