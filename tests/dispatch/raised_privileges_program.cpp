#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "cache/cache.hpp"
#include "cache/posix/trust.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "kerncast/op_definition.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/util/elf_file.hpp"
#include "runtime/util/environment.hpp"

namespace {

/// Asks the server at `url`, through a proxy if one is taken from the environment.
void request(const char* url) {
  kerncast::cache::RemoteOptions options;
  options.address = kerncast::cache::RemoteAddress(url);
  options.timeout = std::chrono::seconds(20);
  std::string defect;
  const auto server = kerncast::cache::remote_server(options, defect);
  if (server == nullptr) {
    std::printf("request: %s\n", defect.c_str());
    return;
  }
  const auto answer = server->get("name", kerncast::cache::Deadline::after(std::chrono::seconds(60)));
  std::printf("request: %s\n",
              answer.state == kerncast::cache::RemoteState::failed ? answer.failure.c_str() : "answered");
}

/// Looks a kernel up, so that there are metrics to write.
void count_something() {
  try {
    const kerncast::OpDefinition& op = kerncast::definition_of<kerncast::norm::RmsNorm>();
    kerncast::RuntimeOptions options;
    options.warn = [](std::string_view) {};
    kerncast::Runtime runtime(options);
    static_cast<void>(runtime.find(op, kerncast::specialise(op, {{"hidden", "64"}}), "sm_90a", 1));
  } catch (const std::exception& error) {
    std::printf("look-up: %s\n", error.what());
  }
}

}  // namespace

/// Prints what a process takes from its environment: the libraries that it would load, and the places that it
/// would read and write.
int main(int argc, char** argv) {
  std::printf("privileges: %s\n", kerncast::has_raised_privileges() ? "raised" : "ordinary");
  for (const auto& candidate : kerncast::driver::search_driver("").candidates) {
    std::printf("driver: %s\n", candidate.path.c_str());
  }
  const kerncast::compiler::NvrtcSearch search = kerncast::compiler::load_nvrtc("");
  for (const auto& candidate : search.candidates) {
    std::printf("nvrtc: %s\n", candidate.path.c_str());
  }
  std::printf("nvrtc: %s\n", search.remedy.c_str());
  std::printf("loader: %s\n", kerncast::library_defect("libplanted.so").c_str());
  const kerncast::cache::CacheOptions options = kerncast::cache::options_from_environment();
  std::printf("directory: %s\n", options.directory.c_str());
  for (const std::string& layer : options.read_only) {
    std::printf("layer: %s\n", layer.c_str());
  }
  std::printf("server: %s\n", options.remote.address.name().c_str());
  std::printf("credentials: %s\n", options.remote.credentials_file.c_str());
  std::printf("everyone: %s\n", options.trust_everyone ? "trusted" : "not trusted");
  struct stat own{};
  own.st_uid = ::geteuid();
  std::printf(
      "own files: %s\n",
      kerncast::cache::reason_not_trusted(own, kerncast::cache::Trust::mine).empty() ? "used" : "unused");
  if (argc > 1) {
    request(argv[1]);
  }
  count_something();
  std::fflush(stdout);
  // LeakSanitizer, which runs at exit, cannot look into a program with raised privileges.
  ::_exit(0);
}
