#include "runtime/compiler/worker/serve.hpp"

#include <poll.h>
#include <unistd.h>

#include <exception>
#include <optional>
#include <thread>

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

/// Ends this process when the parent is gone, even if a compile hangs. (The kernel's parent-death signal does
/// not do: it comes when the thread that started this process ends.)
void leave_with_parent(int fd) {
  std::thread([fd] {
    pollfd parent{fd, POLLRDHUP, 0};
    while (poll(&parent, 1, -1) <= 0) {
    }
    _exit(0);
  }).detach();
}

}  // namespace

int serve(int fd, const std::string& choice) {
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
  leave_with_parent(fd);
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
