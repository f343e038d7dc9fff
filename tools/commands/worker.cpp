#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "runtime/compiler/worker/serve.hpp"
#include "tools/commands/command.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

int work(const std::string& nvrtc) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    throw UsageError(
        "kerncast warm starts workers, and so does a host that names this command in "
        "RuntimeOptions::compile_workers; a worker does nothing by itself");
  }
  return compiler::worker::serve(STDIN_FILENO, nvrtc);
}

}  // namespace

void add_worker_command(const Command& root, CommandContext& /*context*/) {
  const Command command =
      root.add("worker",
               "Compile for another process, which starts this one and sends requests to its standard input");
  command.hide();
  const auto nvrtc = std::make_shared<std::string>();
  command.option("--nvrtc", *nvrtc, "NVRTC to use, in the form of KERNCAST_NVRTC");
  command.action([nvrtc] { return work(*nvrtc); });
}

}  // namespace kerncast::tools
