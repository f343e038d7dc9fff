#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/key.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trust.hpp"

namespace kerncast::cache {

/// A change of a cache directory that its log tells. Compiles and hits are not told.
enum class EventKind : std::uint8_t { imported, promotion, quarantine, refusal, eviction, clear, repair };
constexpr EventKind event_kinds[] = {EventKind::imported, EventKind::promotion, EventKind::quarantine,
                                     EventKind::refusal,  EventKind::eviction,  EventKind::clear,
                                     EventKind::repair};
/// The name of a kind in the log, such as "promotion".
[[nodiscard]] std::string_view name_of(EventKind kind);

/// One event. Fields that are empty are left out of its line.
struct Event {
  EventKind kind = EventKind::imported;
  std::optional<Key> key;
  std::string op;
  /// The layer, server or file that the event is about, by its name for messages, which holds no secret.
  std::string layer;
  std::string reason;
  std::vector<std::pair<std::string_view, std::uint64_t>> counts = {};
  std::vector<Key> keys = {};  ///< of an event about many entries; as many as a line holds are written
};

/// The longest line, its newline included. A text that is too long is cut.
constexpr std::size_t most_event_bytes = 4096;
/// The size at which the log is renamed and a new one is begun.
constexpr std::size_t most_log_bytes = std::size_t{1} << 20;
/// A log that cannot be renamed ends when it exceeds its size by this much.
constexpr std::size_t log_slack_bytes = std::size_t{64} << 10;

/// Appends a line about `event` to the log of the cache directory `root`, which has been found trusted:
///
///     ROOT/log          a JSON object on each line, in the order in which they were written
///     ROOT/log.1        the log before
///     ROOT/locks/log    held by the process that renames the log
///
///     {"time":"2026-01-31T13:05:09.123Z","event":"promotion","pid":1234,"key":...,"op":...,"layer":...,
///      "reason":...,"keys":[...]} and counts
///
/// Each line is one write(2) at the end of the file, so lines of several processes do not mix on a local file
/// system. No link is followed, and a file that `trust` refuses is not written to. A line that cannot be
/// written is lost: nothing fails because of it, and nothing waits for another process.
void append_event(const Folder& root, const Trust& trust, const Event& event);

/// The content of a log.
struct LogLines {
  std::vector<std::string> lines;  ///< the oldest first; some may be torn or foreign
  std::string defect;              ///< why a file of the log cannot be read; empty if there is none
};

/// The lines of both files of a log. The end of a write that was cut off and the line that follows it are
/// told apart. Nothing is known about the lines: whoever may write to the directory may have written them.
[[nodiscard]] LogLines read_log(const Folder& root, const Trust& trust);

}  // namespace kerncast::cache
