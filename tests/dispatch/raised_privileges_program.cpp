#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "cache/cache.hpp"
#include "cache/posix/trust.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/driver/driver_api.hpp"
#include "runtime/util/elf_file.hpp"
#include "runtime/util/environment.hpp"

/// Prints what a process takes from its environment: the libraries that it would load, and the places that it
/// would read and write.
int main() {
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
  std::fflush(stdout);
  // LeakSanitizer, which runs at exit, cannot look into a program with raised privileges.
  ::_exit(0);
}
