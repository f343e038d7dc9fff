#pragma once

#include <chrono>
#include <cstdint>

#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// No publish takes this long, even where locks cannot tell a writer that lives.
constexpr std::chrono::seconds abandoned_after = std::chrono::minutes(10);
/// Its maker locks a file within microseconds, but until then it looks like a dead one's.
constexpr std::chrono::seconds unlocked_at_first = std::chrono::seconds(2);
/// Names looked at in one folder, so that a publish does a bounded amount of work for others.
constexpr std::size_t reaped_names = 1024;

/// Removes temporaries in `folder` whose writers have died: not locked, and last written at least `age` ago.
/// Returns how many.
std::uint64_t reap_temporaries(const Folder& folder, std::chrono::seconds age, std::size_t limit);

/// Removes the lock files in `locks` that nobody holds, left by killed processes, at least `age` old.
std::uint64_t reap_locks(const Folder& locks, std::chrono::seconds age, std::size_t limit);

}  // namespace kerncast::cache
