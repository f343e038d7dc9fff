#include "tools/tune/trials/trial_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "cache/layout.hpp"
#include "cache/posix/write_all.hpp"

namespace kerncast::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view suffix = ".jsonl";
constexpr std::string_view line_begin = "{\"sum\":\"";
constexpr std::size_t sum_digits = 16;
/// The member after the sum begins here, with its comma before it.
constexpr std::size_t rest_begin = line_begin.size() + sum_digits + 2;
constexpr std::uint64_t most_file_bytes = std::uint64_t{256} << 20;
constexpr std::size_t most_header_bytes = 16384;
constexpr std::size_t most_files = 1'000'000;
constexpr int format_version = 1;

std::string sum_of(std::string_view rest) {
  return fmt::format("{:016x}", cache::key_of_fields({{"trial", std::string(rest)}}).low);
}

/// A line with its sum: `rest` is `"trial":{...}}`.
std::string line_of(const std::string& rest) {
  return fmt::format("{}{}\",{}\n", line_begin, sum_of(rest), rest);
}

std::string header_of(const cache::KeyFieldList& fields) {
  Json json = {{"version", format_version}};
  for (const auto& [label, value] : fields) {
    json[label] = value;
  }
  return line_of(fmt::format("\"search\":{}}}", json.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

/// The part of a sound line after its sum; empty if the line is damaged.
std::optional<std::string_view> rest_of(std::string_view line) {
  if (!line.starts_with(line_begin) || line.size() <= rest_begin || line[rest_begin - 1] != ',') {
    return std::nullopt;
  }
  const std::string_view rest = line.substr(rest_begin);
  return line.substr(line_begin.size(), sum_digits) == sum_of(rest) ? std::optional(rest) : std::nullopt;
}

/// The text of the value of a line's one member, which is called `name`; empty if it is another.
std::optional<std::string_view> member(std::string_view rest, std::string_view name) {
  const std::string begin = fmt::format("\"{}\":", name);
  if (!rest.starts_with(begin) || !rest.ends_with('}')) {
    return std::nullopt;
  }
  return rest.substr(begin.size(), rest.size() - begin.size() - 1);
}

/// Lines of a file, read.
struct Lines {
  StoredSearch search;
  std::size_t damaged = 0;
  bool newer = false;
};

void add_header(Lines& lines, std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("version") || !json["version"].is_number_integer()) {
    ++lines.damaged;
    return;
  }
  lines.newer = lines.newer || json["version"].get<int>() > format_version;
  lines.search.fields.clear();
  for (const auto& [label, value] : json.items()) {
    if (label != "version" && value.is_string()) {
      lines.search.fields.emplace_back(label, value.get<std::string>());
    }
  }
}

Lines parse(std::string_view bytes) {
  Lines lines;
  while (!bytes.empty() && !lines.newer) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      // The last write was cut off. Its writer, or the next one, makes the trial again.
      break;
    }
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (line.empty()) {
      continue;
    }
    const std::optional<std::string_view> rest = rest_of(line);
    if (!rest) {
      ++lines.damaged;
    } else if (const auto text = member(*rest, "search")) {
      add_header(lines, *text);
    } else if (const auto trial = member(*rest, "trial")) {
      if (std::optional<Trial> made = parse_trial(*trial)) {
        lines.search.trials.push_back(std::move(*made));
      } else {
        ++lines.damaged;
      }
    }
  }
  return lines;
}

/// Takes the lock of an open file, which other writers hold for the time of a write only.
bool lock(int fd) {
  constexpr int tries = 200;
  constexpr auto pause = std::chrono::milliseconds(10);
  for (int i = 0; i < tries; ++i) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      return true;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      // A file system without locks: one write(2) at the end of the file is whole there too.
      return errno == ENOSYS || errno == EOPNOTSUPP || errno == ENOLCK;
    }
    std::this_thread::sleep_for(pause);
  }
  return false;
}

/// Removes the part of a line at the end of a locked file that another process could not finish. Returns the
/// size of the file then, or -1 with errno set.
off_t remove_torn_line(int fd, off_t size) {
  std::string tail;
  for (off_t begin = size; begin > 0;) {
    const off_t count = std::min<off_t>(begin, 65536);
    begin -= count;
    std::string part(static_cast<std::size_t>(count), '\0');
    if (::pread(fd, part.data(), part.size(), begin) != count) {
      return -1;
    }
    tail.insert(0, part);
    const std::size_t feed = tail.rfind('\n');
    if (feed != std::string::npos || begin == 0) {
      const off_t end = feed == std::string::npos ? 0 : begin + static_cast<off_t>(feed) + 1;
      return end == size || ::ftruncate(fd, end) == 0 ? end : -1;
    }
  }
  return size;
}

/// True if the first line of the file says that a newer build wrote it.
bool is_newer(int fd) {
  std::string begin(most_header_bytes, '\0');
  const ssize_t count = ::pread(fd, begin.data(), begin.size(), 0);
  return count > 0 && parse(std::string_view(begin).substr(0, static_cast<std::size_t>(count))).newer;
}

std::string error_text(int error) {
  return std::strerror(error);
}

}  // namespace

std::string candidate_kernels(const std::string& root) {
  return fmt::format("{}/{}/kernels", root, cache::layout::trials);
}

std::string field_of(const cache::KeyFieldList& fields, std::string_view label) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const auto& one) { return one.first == label; });
  return found == fields.end() ? std::string() : found->second;
}

TrialStore::TrialStore(std::string root, cache::WarningSink warn, cache::Trust trust)
    : root_(std::move(root)), trust_(std::move(trust)), warnings_(std::move(warn)) {}

cache::Folder TrialStore::open() {
  if (root_.empty()) {
    return {};
  }
  const cache::Folder root = cache::Folder::open(root_, trust_);
  cache::Folder folder = root.valid() ? cache::trusted(root.child(cache::layout::trials), trust_)
                                      : cache::Folder::failed(root.failure());
  if (!folder.valid() && folder.failure().error != ENOENT) {
    warnings_.once("unopened", fmt::format("the trials in {}/{} cannot be read: {}", root_,
                                           cache::layout::trials, folder.failure().text));
  }
  return folder;
}

StoredSearch TrialStore::read(const cache::Folder& folder, const std::string& name) {
  cache::FileContent content = folder.read(name, most_file_bytes);
  if (content.state == cache::FileContent::State::absent) {
    return {};
  }
  std::string defect = content.defect;
  if (content.state == cache::FileContent::State::read) {
    defect = cache::reason_not_trusted(content.info, trust_);
  }
  if (!defect.empty()) {
    warnings_.once("unreadable", fmt::format("the trials in {}/{} cannot be used: {}; they are made again",
                                             folder.path(), name, defect));
    return {};
  }
  Lines lines = parse(content.bytes);
  if (lines.newer) {
    warnings_.once("newer", fmt::format("the trials in {}/{} are of a newer build and are left alone; they "
                                        "are made again and not kept",
                                        folder.path(), name));
    return {};
  }
  if (lines.damaged > 0) {
    warnings_.once("damaged",
                   fmt::format("{} line{} of {}/{} {} damaged and left out; what is missing is tried again",
                               lines.damaged, lines.damaged == 1 ? "" : "s", folder.path(), name,
                               lines.damaged == 1 ? "is" : "are"));
  }
  return std::move(lines.search);
}

std::vector<Trial> TrialStore::load(const cache::KeyFieldList& fields) {
  const std::string name = cache::key_of_fields(fields).hex() + std::string(suffix);
  const cache::Folder folder = open();
  return folder.valid() ? read(folder, name).trials : std::vector<Trial>();
}

void TrialStore::append(const cache::KeyFieldList& fields, std::span<const Trial> trials) {
  if (trials.empty()) {
    return;
  }
  const std::string name = cache::key_of_fields(fields).hex() + std::string(suffix);
  Pending& pending = pending_[name];
  pending.fields = fields;
  for (const Trial& trial : trials) {
    pending.lines += line_of(fmt::format("\"trial\":{}}}", format_trial(trial)));
    ++pending.trials;
  }
  if (const std::string defect = write(name, pending); defect.empty()) {
    pending_.erase(name);
  } else {
    defect_ = defect;
    warnings_.once("unkept", fmt::format("trials cannot be kept in {}/{}: {}; the run goes on", root_,
                                         cache::layout::trials, defect));
  }
}

std::string TrialStore::write(const std::string& name, Pending& pending) {
  if (root_.empty()) {
    return "there is no cache directory";
  }
  const cache::Folder root = cache::trusted(cache::Folder::make(root_), trust_);
  const cache::Folder folder =
      root.valid() ? cache::trusted(root.make_child(cache::layout::trials), trust_) : cache::Folder();
  if (!folder.valid()) {
    return root.valid() ? folder.failure().text : root.failure().text;
  }
  const cache::Descriptor file(
      ::openat(folder.fd(), name.c_str(),
               O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600));
  if (!file.valid()) {
    return error_text(errno);
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) {
    return error_text(errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return fmt::format("{} is no file", name);
  }
  if (std::string reason = cache::reason_not_trusted(info, trust_); !reason.empty()) {
    return reason;
  }
  if (!lock(file.get())) {
    return "another process has locked them";
  }
  if (::fstat(file.get(), &info) != 0) {
    return error_text(errno);
  }
  if (is_newer(file.get())) {
    return "they are of a newer build";
  }
  const off_t end = remove_torn_line(file.get(), info.st_size);
  if (end < 0) {
    return error_text(errno);
  }
  const std::string bytes = (end == 0 ? header_of(pending.fields) : std::string()) + pending.lines;
  if (!cache::write_all(file.get(), bytes) || ::fdatasync(file.get()) != 0) {
    const int error = errno;
    // If this fails too, the next writer removes the rest of the line.
    static_cast<void>(!::ftruncate(file.get(), end));
    return error_text(error);
  }
  return {};
}

std::string TrialStore::finish() {
  std::size_t lost = 0;
  for (auto item = pending_.begin(); item != pending_.end();) {
    if (const std::string defect = write(item->first, item->second); defect.empty()) {
      item = pending_.erase(item);
    } else {
      defect_ = defect;
      lost += item->second.trials;
      ++item;
    }
  }
  return lost == 0 ? std::string()
                   : fmt::format("{} trial{} could not be kept in {}/{} ({}); the next run makes {} again",
                                 lost, lost == 1 ? "" : "s", root_, cache::layout::trials, defect_,
                                 lost == 1 ? "it" : "them");
}

std::vector<std::string> TrialStore::files_of(const cache::Folder& folder) {
  std::vector<std::string> names;
  if (folder.valid()) {
    folder.for_each(most_files, [&](const std::string& name) {
      if (name.ends_with(suffix)) {
        names.push_back(name);
      }
    });
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<StoredSearch> TrialStore::list() {
  const cache::Folder folder = open();
  std::vector<StoredSearch> searches;
  for (const std::string& name : files_of(folder)) {
    if (StoredSearch search = read(folder, name); !search.trials.empty()) {
      searches.push_back(std::move(search));
    }
  }
  return searches;
}

std::size_t TrialStore::remove(const std::function<bool(const cache::KeyFieldList& fields)>& unwanted,
                               bool dry_run) {
  const cache::Folder folder = open();
  std::size_t removed = 0;
  for (const std::string& name : files_of(folder)) {
    const cache::KeyFieldList fields = read(folder, name).fields;
    if (fields.empty() || !unwanted(fields)) {
      continue;
    }
    if (dry_run || folder.remove(name)) {
      ++removed;
    } else {
      warnings_.once("unremoved", fmt::format("{}/{} cannot be removed", folder.path(), name));
    }
  }
  return removed;
}

}  // namespace kerncast::tools
