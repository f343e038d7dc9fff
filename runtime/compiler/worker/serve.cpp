#include "runtime/compiler/worker/serve.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <optional>
#include <thread>

#include "cache/posix/descriptor.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/compiler/worker/message.hpp"

namespace kerncast::compiler::worker {
namespace {

Exchange answer(int fd, const Nvrtc& nvrtc, const CompileRequest& request) {
  Failure failure;
  try {
    return write_message(fd, Kind::result, encode(compile(nvrtc, request)));
  } catch (const Error& error) {
    failure = {error.code(), error.what()};
  } catch (const std::exception& error) {
    failure = {ErrorCode::internal, error.what()};
  }
  return write_message(fd, Kind::failure, encode(failure));
}

[[noreturn]] void leave() {
  // The parent made this process the leader of a group. A group that it only belongs to is not its own to
  // end.
  if (getpgrp() == getpid()) {
    kill(0, SIGKILL);
  }
  _exit(0);
}

/// The process at the other end of `fd`, as a file that becomes readable when the process ends. Invalid if
/// the system does not offer that. Leaves if the process has ended.
cache::Descriptor peer_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
    return {};
  }
  cache::Descriptor process(static_cast<int>(syscall(SYS_pidfd_open, peer.pid, 0)));
  if (!process.valid() && errno == ESRCH) {
    leave();
  }
  return process;
}

/// Ends this process and its children when the parent is gone, even if a compile hangs. (The kernel's
/// parent-death signal does not do: it comes when the thread that started this process ends.)
void leave_with_parent(int fd) {
  std::thread([fd] {
    // A process that the parent has forked keeps the socket open, so its end alone does not tell.
    const cache::Descriptor process = peer_of(fd);
    std::array<pollfd, 2> parent{pollfd{fd, POLLRDHUP, 0}, pollfd{process.get(), POLLIN, 0}};
    while (poll(parent.data(), parent.size(), -1) <= 0) {
    }
    leave();
  }).detach();
}

}  // namespace

int serve(int fd, const std::string& choice) {
  // A child that kept the socket open would hide the end of this process from the parent.
  static_cast<void>(fcntl(fd, F_SETFD, FD_CLOEXEC));
  leave_with_parent(fd);
  const NvrtcSearch search = load_nvrtc(choice);
  Greeting greeting;
  if (search.nvrtc != nullptr) {
    greeting.nvrtc = search.nvrtc->version();
  } else {
    greeting.remedy = search.remedy;
  }
  if (write_message(fd, Kind::greeting, encode(greeting)) != Exchange::done || search.nvrtc == nullptr) {
    return 1;
  }
  Message message;
  while (true) {
    const Exchange got = read_message(fd, message, -1);
    if (got == Exchange::closed) {
      return 0;
    }
    const auto request = got == Exchange::done && message.kind == Kind::compile
                             ? decode_request(message.payload)
                             : std::optional<CompileRequest>();
    if (!request || answer(fd, *search.nvrtc, *request) != Exchange::done) {
      return 1;
    }
  }
}

}  // namespace kerncast::compiler::worker
