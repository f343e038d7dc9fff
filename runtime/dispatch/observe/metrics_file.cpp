#include "runtime/dispatch/observe/metrics_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "cache/counters.hpp"
#include "cache/metrics.hpp"
#include "cache/posix/descriptor.hpp"
#include "cache/posix/write_all.hpp"
#include "runtime/util/output_target.hpp"
#include "runtime/util/pid_pattern.hpp"

namespace kerncast {
namespace {

std::string text_of(int error) {
  return std::generic_category().message(error);
}

/// Replaces the file at `path`. Returns the reason why it could not be; empty if it was, or if another
/// process is doing so.
std::string replace_file(const std::string& path, std::string_view text) {
  const OutputTarget target = output_target(path);
  if (!target.foreign_link.empty()) {
    return fmt::format("the link {} belongs to another user", target.foreign_link);
  }
  struct stat info{};
  if (::lstat(target.path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return "it is not a regular file";
  }
  // The name is the same each time, so what a killed process leaves is used by the next.
  const std::filesystem::path whole = target.path;
  const std::string temporary =
      (whole.parent_path() / fmt::format(".{}.kerncast", whole.filename().string())).string();
  const cache::Descriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
  if (!file.valid() || ::fstat(file.get(), &info) != 0) {
    return text_of(errno);
  }
  if (!S_ISREG(info.st_mode) || info.st_uid != ::geteuid() || info.st_nlink > 1) {
    return fmt::format("{} is in the way", temporary);
  }
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return {};
  }
  struct stat named{};
  if (::lstat(temporary.c_str(), &named) != 0 || named.st_ino != info.st_ino || named.st_dev != info.st_dev) {
    return {};  // Another process has renamed it since it was opened.
  }
  if (::ftruncate(file.get(), 0) != 0 || !cache::write_all(file.get(), text) ||
      ::rename(temporary.c_str(), target.path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return text_of(error);
  }
  return {};
}

/// Blocks every signal for the thread that is made meanwhile, since signals belong to the host's threads.
class NoSignals {
 public:
  NoSignals() {
    sigset_t all{};
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~NoSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

/// The thread and what it shares with its owner.
struct MetricsFile::Writer {
  const MetricsFile& owner;
  const pid_t process;
  /// The counters of a forked child when it began. Its parent reports these.
  const CacheCounters inherited;
  std::mutex mutex;
  std::condition_variable stopping;
  bool stop = false;
  bool warned = false;
  std::thread thread;

  Writer(const MetricsFile& file, pid_t own, const CacheCounters& before)
      : owner(file), process(own), inherited(before) {
    const NoSignals guard;
    thread = std::thread([this] { run(); });
  }

  void run() {
    std::unique_lock lock(mutex);
    while (!stopping.wait_for(lock, owner.interval_, [&] { return stop; })) {
      lock.unlock();
      write_noted();
      lock.lock();
    }
  }

  void finish() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    stopping.notify_all();
    if (thread.joinable()) {
      thread.join();
    }
    write_noted();
  }

  void write_noted() noexcept {
    try {
      if (owner.noted_.exchange(false)) {
        write();
      }
    } catch (const std::exception&) {
      return;  // There is no memory for the text. The next note tries again.
    }
  }

  void write() {
    const PatternPath name = expand_pid(owner.path_, process);
    const cache::MetricLabels labels =
        name.has_pid ? cache::MetricLabels{{"pid", std::to_string(process)}} : cache::MetricLabels{};
    const std::string reason = replace_file(
        name.path, cache::prometheus_text(cache::operator-(owner.counters_(), inherited), labels));
    if (!reason.empty() && !std::exchange(warned, true)) {
      owner.warn_(fmt::format("the metrics cannot be written to {}: {}; correct KERNCAST_METRICS_FILE",
                              name.path, reason));
    }
  }
};

MetricsFile::MetricsFile(std::string path, std::function<CacheCounters()> counters, cache::WarningSink warn,
                         std::chrono::milliseconds interval)
    : path_(std::move(path)), counters_(std::move(counters)), warn_(std::move(warn)), interval_(interval) {}

MetricsFile::~MetricsFile() {
  if (process_ == ::getpid()) {
    finish();
  } else {
    // In a forked child the copy of its parent's thread can be neither joined nor destroyed.
    static_cast<void>(writer_.release());
  }
}

void MetricsFile::note() noexcept {
  if (path_.empty()) {
    return;
  }
  noted_.store(true);
  if (process_ == ::getpid()) {
    return;
  }
  // In a forked child this mutex may be held by a thread that the child does not have.
  if (const std::unique_lock lock(mutex_, std::try_to_lock); lock.owns_lock() && process_ != ::getpid()) {
    start();
  }
}

void MetricsFile::start() noexcept {
  try {
    const bool forked = writer_ != nullptr;
    const CacheCounters inherited = forked ? counters_() : CacheCounters{};
    static_cast<void>(writer_.release());
    writer_ = std::make_unique<Writer>(*this, ::getpid(), inherited);
    process_ = ::getpid();
  } catch (const std::exception& error) {
    warn_(fmt::format("the metrics are not written to {}: {}", path_, error.what()));
    process_ = ::getpid();
  }
}

void MetricsFile::finish() noexcept {
  if (process_ != ::getpid()) {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (writer_ != nullptr && writer_->process == process_) {
    writer_->finish();
  }
}

}  // namespace kerncast
