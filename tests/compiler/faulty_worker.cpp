#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "runtime/compiler/worker/message.hpp"
#include "runtime/compiler/worker/serve.hpp"

using namespace kerncast::compiler::worker;

namespace {

/// A process that does nothing until it is killed. Like a program that serve() starts, it has no socket.
pid_t start_child() {
  const pid_t child = fork();
  if (child == 0) {
    close(STDIN_FILENO);
    while (true) {
      pause();
    }
  }
  return child;
}

std::string own_environment() {
  std::string out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    out += *variable + std::string("\n");
  }
  return out;
}

/// The numbers and targets of the open files, such as "2 /dev/null", with a line for each.
std::string open_files() {
  std::string out;
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(file.path(), error).string();
    // The folder that is being read has a descriptor too.
    if (!target.starts_with("/proc/")) {
      out += file.path().filename().string() + " " + target + "\n";
    }
  }
  return out;
}

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
    if (source == "variables") {
      result.log = own_environment();
    } else if (source == "files") {
      result.log = open_files();
    } else if (source == "child") {
      result.log = std::to_string(start_child());
    }
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
  if (how == "family" && argc > 2) {
    const pid_t child = start_child();
    std::ofstream(argv[2]) << child << std::flush;
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
