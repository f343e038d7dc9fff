#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "runtime/compiler/worker/message.hpp"
#include "runtime/compiler/worker/serve.hpp"

using namespace kerncast::compiler::worker;

namespace {

/// Answers each request as its source text says, without a compiler.
int serve_sources() {
  Greeting greeting;
  greeting.nvrtc = "13.0";
  if (write_message(STDIN_FILENO, Kind::greeting, encode(greeting)) != Exchange::done) {
    return 1;
  }
  Message message;
  std::string hoard;
  while (read_message(STDIN_FILENO, message, -1) == Exchange::done) {
    const auto request = decode_request(message.payload);
    if (!request) {
      return 2;
    }
    const std::string_view source = request->source;
    if (source == "crash") {
      std::abort();
    } else if (source == "leave") {
      return 7;
    } else if (source == "hang") {
      pause();
    } else if (source == "babble") {
      static_cast<void>(write(STDIN_FILENO, "no message at all", 17));
      continue;
    } else if (source == "refuse") {
      static_cast<void>(write_message(STDIN_FILENO, Kind::failure,
                                      encode(Failure{kerncast::ErrorCode::unsupported, "not this one"})));
      continue;
    } else if (source == "grow") {
      hoard.resize(hoard.size() + (std::size_t{256} << 20), 'x');
    } else if (source.starts_with("swell ")) {
      [[maybe_unused]] const std::string held(std::stoul(std::string(source.substr(6))) << 20, 'x');
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    kerncast::compiler::CompileResult result;
    result.cubin = std::to_string(getpid());
    result.ptx = source;
    if (write_message(STDIN_FILENO, Kind::result, encode(result)) != Exchange::done) {
      return 1;
    }
  }
  return 0;
}

}  // namespace

/// A worker for worker_test: `faulty_worker HOW`. HOW selects how it misbehaves.
int main(int argc, char** argv) {
  const std::string_view how = argc > 1 ? argv[1] : "";
  if (how == "real") {
    return serve(STDIN_FILENO, {});
  }
  if (how == "mute") {
    pause();
  }
  if (how == "old") {
    Greeting greeting;
    greeting.protocol = protocol_version + 1;
    static_cast<void>(write_message(STDIN_FILENO, Kind::greeting, encode(greeting)));
    pause();
  }
  return how == "sources" ? serve_sources() : 3;
}
