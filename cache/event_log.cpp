#include "cache/event_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>

#include "cache/layout.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/file_lock.hpp"
#include "cache/posix/signal_guard.hpp"
#include "runtime/util/json_string.hpp"
#include "runtime/util/printable.hpp"
#include "runtime/util/split.hpp"

namespace kerncast::cache {
namespace {

constexpr std::size_t most_op_bytes = 300;
constexpr std::size_t most_text_bytes = 1000;
// Quotes in a text are escaped, so no text of a line contains this.
constexpr std::string_view line_begin = "{\"time\":\"";

std::string time_text() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1'000'000);
}

std::string line_of(const Event& event) {
  std::string line = fmt::format("{}{}\",\"event\":\"{}\",\"pid\":{}", line_begin, time_text(),
                                 name_of(event.kind), ::getpid());
  const auto add = [&](std::string_view name, const std::string& text, std::size_t most) {
    if (!text.empty()) {
      line += fmt::format(",\"{}\":{}", name, json_string(printable_line(text), most));
    }
  };
  add("key", event.key ? event.key->hex() : std::string(), most_text_bytes);
  add("op", event.op, most_op_bytes);
  add("layer", event.layer, most_text_bytes);
  add("reason", event.reason, most_text_bytes);
  for (const auto& [name, value] : event.counts) {
    line += fmt::format(",\"{}\":{}", name, value);
  }
  std::string keys;
  for (const Key& key : event.keys) {
    const std::string item = fmt::format("{}\"{}\"", keys.empty() ? "" : ",", key.hex());
    if (line.size() + keys.size() + item.size() + 32 > most_event_bytes) {
      break;
    }
    keys += item;
  }
  return line + (keys.empty() ? std::string() : fmt::format(",\"keys\":[{}]", keys)) + "}\n";
}

/// Makes way for a new log. True if `full` is not the log any more.
bool set_full_log_aside(const Folder& root, const Descriptor& full) {
  const FileLock lock(root.make_child(layout::locks), layout::log_lock);
  if (lock.busy()) {
    return false;
  }
  return !root.names(layout::log, full.get()) ||
         ::renameat(root.fd(), std::string(layout::log).c_str(), root.fd(),
                    std::string(layout::old_log).c_str()) == 0;
}

void append(const Folder& root, const Trust& trust, const std::string& line) {
  for (const std::size_t bound : {most_log_bytes, most_log_bytes + log_slack_bytes}) {
    const Descriptor file(
        ::openat(root.fd(), std::string(layout::log).c_str(),
                 O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
    struct stat info{};
    if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
        !reason_not_trusted(info, trust).empty()) {
      return;
    }
    if (static_cast<std::size_t>(info.st_size) + line.size() <= bound) {
      const SignalGuard guard(SIGXFSZ);
      static_cast<void>(!::write(file.get(), line.data(), line.size()));
      return;
    }
    static_cast<void>(set_full_log_aside(root, file));
  }
}

void add_lines(const FileContent& content, std::vector<std::string>& lines) {
  for (const std::string& text : non_empty_parts(content.bytes, '\n')) {
    std::size_t begin = 0;
    while (begin < text.size()) {
      const std::size_t end = std::min(text.find(line_begin, begin + 1), text.size());
      lines.push_back(text.substr(begin, end - begin));
      begin = end;
    }
  }
}

}  // namespace

std::string_view name_of(EventKind kind) {
  switch (kind) {
    case EventKind::imported:
      return "import";
    case EventKind::promotion:
      return "promotion";
    case EventKind::quarantine:
      return "quarantine";
    case EventKind::refusal:
      return "refusal";
    case EventKind::eviction:
      return "eviction";
    case EventKind::clear:
      return "clear";
    case EventKind::repair:
      return "repair";
  }
  return "";
}

void append_event(const Folder& root, const Trust& trust, const Event& event) {
  if (!root.valid()) {
    return;
  }
  const int error = errno;
  try {
    append(root, trust, line_of(event));
  } catch (const std::exception&) {
    errno = error;  // Without memory there is no line.
    return;
  }
  errno = error;
}

LogLines read_log(const Folder& root, const Trust& trust) {
  LogLines out;
  // The log is read first: if it is renamed meanwhile, it is found twice and counts once.
  const FileContent now = root.read(layout::log, 2 * most_log_bytes);
  const FileContent before = root.read(layout::old_log, 2 * most_log_bytes);
  const bool same = now.held.valid() && root.names(layout::old_log, now.held.get());
  for (const FileContent* content : {&before, &now}) {
    if (content->state == FileContent::State::absent || (content == &before && same)) {
      continue;
    }
    std::string defect = content->defect;
    if (content->state == FileContent::State::read) {
      defect = reason_not_trusted(content->info, trust);
    }
    if (defect.empty()) {
      add_lines(*content, out.lines);
    } else {
      out.defect = std::move(defect);
    }
  }
  return out;
}

}  // namespace kerncast::cache
