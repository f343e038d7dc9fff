#include "runtime/compiler/worker/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "runtime/compiler/worker/worker_environment.hpp"

namespace kerncast::compiler::worker {
namespace {

/// `texts` as posix_spawn takes them.
std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    out.push_back(const_cast<char*>(text.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

/// Starts a process with `input` as its standard input. It gets its own process group, so that Ctrl-C reaches
/// only the parent, and a worker can be ended with its children. Of the open files it gets standard error
/// alone: a host's other files may be sockets, devices or secrets, and are not all closed on exec.
pid_t start(const std::vector<std::string>& command, int input) {
  const std::vector<char*> arguments = pointers_to(command);
  const std::vector<std::string> variables = worker_environment();
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, arguments.front(), &files, &attributes, arguments.data(),
                                pointers_to(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    throw WorkerFailed(
        fmt::format("the compile worker {} cannot be run: {}", command.front(), std::strerror(error)));
  }
  return pid;
}

/// Makes a connected pair of sockets. Stores one end in `ours` and returns the other.
cache::Descriptor connect_pair(cache::Descriptor& ours, std::int64_t timeout_ms) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw WorkerFailed(fmt::format("no socket for a compile worker: {}", std::strerror(errno)));
  }
  ours = cache::Descriptor(ends[0]);
  const timeval longest{timeout_ms / 1000, timeout_ms % 1000 * 1000};
  static_cast<void>(setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof(longest)));
  return cache::Descriptor(ends[1]);
}

}  // namespace

int Child::wait() noexcept {
  // A worker that closed its socket is about to exit, and its exit status says more than a kill would.
  constexpr int patience_ms = 200;
  const auto ended = [this] {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == pid_;
  };
  bool ours = !ended();
  for (int waited = 0; ours && waited < patience_ms; ++waited) {
    usleep(1000);
    ours = !ended();
  }
  // Until the worker is waited for, nobody else can have its number, which is that of its group.
  kill(-pid_, SIGKILL);
  int status = 0;
  pid_t got = 0;
  while ((got = waitpid(pid_, &status, 0)) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return ours || got < 0 ? -1 : status;
}

std::string Child::end() {
  if (pid_ >= 0) {
    status_ = wait();
  }
  if (status_ < 0) {
    return "was ended";
  }
  return WIFSIGNALED(status_) ? fmt::format("died of SIG{}", sigabbrev_np(WTERMSIG(status_)))
                              : fmt::format("exited with code {}", WEXITSTATUS(status_));
}

Process::Process(const std::vector<std::string>& command, std::int64_t timeout_ms)
    : child_(start(command, connect_pair(socket_, timeout_ms).get())) {
  const Message message = receive(timeout_ms);
  const auto greeting = decode_greeting(message.payload);
  if (message.kind != Kind::greeting || !greeting || greeting->protocol != protocol_version) {
    throw WorkerFailed(
        fmt::format("{} is not a compile worker of this version of kerncast", command.front()));
  }
  greeting_ = *greeting;
}

CompileResult Process::compile(const CompileRequest& request, const CompileLimits& limits) {
  const std::int64_t timeout_ms = limits.timeout_ms;
  fresh_ = false;
  if (const Exchange sent = write_message(socket_.get(), Kind::compile, encode(request));
      sent != Exchange::done) {
    failed(sent, timeout_ms);
  }
  watch_memory(limits);
  const Message message = receive(timeout_ms);
  if (message.kind == Kind::result) {
    if (auto result = decode_result(message.payload)) {
      return std::move(*result);
    }
  } else if (message.kind == Kind::failure) {
    if (const auto failure = decode_failure(message.payload)) {
      throw Error(failure->code, failure->message);
    }
  }
  failed(Exchange::malformed, timeout_ms);
}

/// Returns when an answer begins to arrive or the time is up.
void Process::watch_memory(const CompileLimits& limits) const {
  constexpr int interval_ms = 20;
  pollfd answer{socket_.get(), POLLIN, 0};
  for (std::int64_t waited = 0; limits.memory_bytes > 0 && waited < limits.timeout_ms;
       waited += interval_ms) {
    if (poll(&answer, 1, interval_ms) > 0) {
      return;
    }
    if (const std::uint64_t held = resident_bytes(); held > limits.memory_bytes) {
      throw WorkerOutgrew(fmt::format(
          "its compile worker held {} MiB of memory, and its share is {} MiB; give more, or fewer jobs",
          held >> 20, limits.memory_bytes >> 20));
    }
  }
}

Message Process::receive(std::int64_t timeout_ms) {
  Message message;
  if (const Exchange got = read_message(socket_.get(), message, timeout_ms); got != Exchange::done) {
    failed(got, timeout_ms);
  }
  return message;
}

void Process::failed(Exchange how, std::int64_t timeout_ms) {
  if (how == Exchange::closed) {
    throw WorkerFailed(fmt::format("its compile worker {}", child_.end()));
  }
  throw WorkerFailed(
      how == Exchange::timed_out
          ? fmt::format("its compile worker gave no answer in {} s", static_cast<double>(timeout_ms) / 1000)
          : std::string("its compile worker gave an answer that makes no sense"));
}

bool Process::waits_for_work() const {
  pollfd silent{socket_.get(), POLLIN, 0};
  return poll(&silent, 1, 0) == 0;
}

void Process::hang_up() const {
  static_cast<void>(shutdown(socket_.get(), SHUT_RDWR));
}

std::uint64_t Process::resident_bytes() const {
  // The file holds numbers of pages: the size of the process, then its resident part.
  std::ifstream in(fmt::format("/proc/{}/statm", child_.pid()));
  std::uint64_t whole = 0;
  std::uint64_t resident = 0;
  in >> whole >> resident;
  return in ? resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace kerncast::compiler::worker
