#include "runtime/dispatch/observe/trace_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "cache/posix/write_all.hpp"
#include "runtime/util/json_string.hpp"
#include "runtime/util/output_target.hpp"
#include "runtime/util/pid_pattern.hpp"

namespace kerncast {
namespace {

constexpr std::size_t collected_limit = 64U << 10U;
constexpr std::chrono::seconds collected_time{1};

double microseconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

/// The arguments that a viewer shows for a selected event, as members of a JSON object.
std::string arguments_of(const KernelEvent& event) {
  std::string text = fmt::format(R"("spec":{},"arch":{})", json_string(event.spec), json_string(event.arch));
  if (event.device >= 0) {
    text += fmt::format(R"(,"device":{})", event.device);
  }
  if (!event.key.empty()) {
    text += fmt::format(R"(,"key":{})", json_string(event.key));
  }
  if (!event.error.empty()) {
    text += fmt::format(R"(,"error":{})", json_string(event.error));
  }
  if (event.kind == KernelEventKind::launch) {
    text += fmt::format(R"(,"rows":{},"stage":{},"grid":[{},{},{}],"block":[{},{},{}],"stream":"{}")",
                        event.rows, event.stage, event.grid[0], event.grid[1], event.grid[2], event.block[0],
                        event.block[1], event.block[2], fmt::ptr(event.stream));
  }
  return text;
}

/// A line with its separator. Compiles, loads and launches are spans, the others moments.
std::string line_of(const KernelEvent& event, pid_t process) {
  const bool moment = event.kind == KernelEventKind::miss || event.kind == KernelEventKind::replaced;
  const std::string_view category =
      event.kind == KernelEventKind::compile_end ? "compile" : event_name(event.kind);
  const std::string when =
      moment ? R"("ph":"i","s":"t")" : fmt::format(R"("ph":"X","dur":{:.3f})", microseconds(event.duration));
  return fmt::format(R"({{"name":{},"cat":"{}",{},"ts":{:.3f},"pid":{},"tid":{},"args":{{{}}}}},)"
                     "\n",
                     json_string(event.op), category, when, microseconds(event.begin.time_since_epoch()),
                     process, ::gettid(), arguments_of(event));
}

}  // namespace

TraceFile::TraceFile(std::string path, cache::WarningSink warn, std::uint64_t limit)
    : path_(std::move(path)),
      warn_(std::move(warn)),
      limit_(limit),
      process_(::getpid()),
      flushed_(std::chrono::steady_clock::now()) {}

TraceFile::~TraceFile() {
  finish();
}

void TraceFile::write(const KernelEvent& event) noexcept {
  // The span of a compile is written when it is over.
  if (event.kind == KernelEventKind::compile_begin || ::getpid() != process_) {
    return;
  }
  try {
    add(event);
  } catch (const std::exception&) {
    return;  // There is no memory for the line.
  }
}

void TraceFile::add(const KernelEvent& event) {
  const std::string line = line_of(event, process_);
  const std::lock_guard lock(mutex_);
  if (ended_) {
    return;
  }
  if (written_ == 0 && collected_.empty()) {
    open();
    collected_ = fmt::format(
        "[\n{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":{},\"args\":"
        "{{\"name\":\"kerncast\"}}}},\n",
        process_);
  }
  collected_ += line;
  if (collected_.size() >= collected_limit || std::chrono::steady_clock::now() - flushed_ >= collected_time) {
    flush();
  }
}

void TraceFile::open() {
  const PatternPath name = expand_pid(path_, process_);
  const OutputTarget target = output_target(name.path);
  if (!target.foreign_link.empty()) {
    give_up(fmt::format("the link {} belongs to another user", target.foreign_link));
    return;
  }
  file_ = cache::Descriptor(
      ::open(target.path.c_str(),
             O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
  if (!file_.valid()) {
    give_up(std::generic_category().message(errno));
  }
}

void TraceFile::flush() {
  if (!file_.valid() || collected_.empty()) {
    return;
  }
  if (written_ + collected_.size() > limit_) {
    give_up(fmt::format("it has reached its limit of {} MiB", limit_ >> 20U));
    return;
  }
  if (!cache::write_all(file_.get(), collected_)) {
    give_up(std::generic_category().message(errno));
    return;
  }
  written_ += collected_.size();
  collected_.clear();
  flushed_ = std::chrono::steady_clock::now();
}

void TraceFile::give_up(const std::string& reason) {
  ended_ = true;
  collected_.clear();
  collected_.shrink_to_fit();
  warn_(fmt::format("the trace {} ends here: {}", path_, reason));
}

void TraceFile::finish() noexcept {
  if (::getpid() != process_) {
    return;
  }
  try {
    const std::lock_guard lock(mutex_);
    if (ended_ || (written_ == 0 && collected_.empty())) {
      return;
    }
    collected_ += fmt::format("{{\"name\":\"end\",\"ph\":\"M\",\"pid\":{},\"args\":{{}}}}\n]\n", process_);
    flush();
    ended_ = true;
  } catch (const std::exception&) {
    return;  // There is no memory for the last line.
  }
}

}  // namespace kerncast
