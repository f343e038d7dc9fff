// Runtimes of machines that share a server leave each compile to one of them.
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "tests/cache/remote/redis_process.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast;

namespace {

constexpr std::uint64_t kernels = 3;

struct Compiled {
  CacheCounters counters;
  bool whole = true;  ///< every kernel has code
};

/// Compiles the kernels with a cache directory of its own.
Compiled compile_all(const std::string& url, bool leases) {
  const TemporaryDirectory folder;
  RuntimeOptions options;
  options.cache_directory = folder.path();
  options.cache_remote = url;
  options.cache_remote_leases = leases;
  Runtime runtime(options);
  Compiled out;
  const OpDefinition& op = OpRegistry::instance().require("norm.rms_norm");
  for (std::uint64_t i = 1; i <= kernels; ++i) {
    const KernelReport report =
        runtime.compile(op, specialise(op, {{"hidden", std::to_string(64 * i)}}), "sm_90a", 1);
    out.whole = out.whole && !report.cubin.empty();
  }
  out.counters = runtime.cache_counters();
  return out;
}

}  // namespace

TEST_CASE("two machines that start together compile each kernel once, unless the host turns leases off") {
  if (!Redis::installed()) {
    return;
  }
  if (compiler::load_nvrtc().nvrtc == nullptr) {
    WARN("no NVRTC on this machine: the case was not tried");
    return;
  }
  const Redis redis;
  REQUIRE(redis.started());
  // A loaded machine may take longer than the default for an answer, and for a compile.
  setenv("KERNCAST_CACHE_REMOTE_TIMEOUT_MS", "60000", 1);
  setenv("KERNCAST_CACHE_WAIT_MS", "600000", 1);
  const std::string url = redis.url();
  Compiled one;
  std::thread other([&] { one = compile_all(url, true); });
  const Compiled two = compile_all(url, true);
  other.join();
  CHECK(one.whole);
  CHECK(two.whole);
  CHECK(one.counters.compiles + two.counters.compiles == kernels);
  CHECK(one.counters.leases + two.counters.leases == kernels);
  const Compiled without = compile_all(url + "/1", false);
  CHECK(without.whole);
  CHECK(without.counters.compiles == kernels);
  CHECK(without.counters.leases == 0);
}
