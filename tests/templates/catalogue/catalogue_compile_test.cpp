#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "kerncast/runtime.hpp"
#include "templates/host/checks.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/kernel_cache.hpp"
#ifdef KERNCAST_CATALOGUE_DECODES
#include "runtime/simulator/machine/machine.hpp"
#endif

using namespace kerncast;

namespace {

/// Few and many tokens, for which the default tunables differ.
void compile_catalogue(const char* arch) {
  const test::KernelCache cache;
  RuntimeOptions options;
  options.cache_directory = cache.path();
  Runtime runtime(options);
#ifdef KERNCAST_CATALOGUE_DECODES
  simulator::Memory memory;
#endif
  for (const tools::Workload& workload : test::catalogue_variants()) {
    const Specialisation spec = specialise(*workload.op, workload.params);
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{8192}}) {
      INFO(workload.op->name << " [" << format_specialisation(*workload.op, spec) << "], " << rows
                             << " rows");
      const KernelReport report = runtime.compile(*workload.op, spec, arch, rows);
      CHECK_FALSE(report.cubin.empty());
      CHECK(report.spill_store_bytes == 0);
      CHECK(report.spill_load_bytes == 0);
      CHECK(report.local_bytes == 0);
      CHECK(report.shared_bytes <= host::most_static_shared);
#ifdef KERNCAST_CATALOGUE_DECODES
      CHECK_NOTHROW(simulator::Module::decode(report.ptx, std::stoi(std::string(arch).substr(3)), memory, 0));
#endif
    }
  }
}

}  // namespace

TEST_CASE("every op is among the variants") {
  std::vector<std::string> missing;
  const auto variants = test::catalogue_variants();
  for (const OpDefinition* op : OpRegistry::instance().all()) {
    if (std::none_of(variants.begin(), variants.end(), [&](const auto& v) { return v.op == op; })) {
      missing.push_back(op->name);
    }
  }
  CHECK(missing == std::vector<std::string>{});
}

#define KERNCAST_COMPILE_FOR(arch)                                                         \
  TEST_CASE("the catalogue compiles without spills and decodes for " arch, "[" arch "]") { \
    compile_catalogue(arch);                                                               \
  }
KERNCAST_COMPILE_FOR("sm_75")
KERNCAST_COMPILE_FOR("sm_80")
KERNCAST_COMPILE_FOR("sm_86")
KERNCAST_COMPILE_FOR("sm_87")
KERNCAST_COMPILE_FOR("sm_88")
KERNCAST_COMPILE_FOR("sm_89")
KERNCAST_COMPILE_FOR("sm_90a")
KERNCAST_COMPILE_FOR("sm_100a")
KERNCAST_COMPILE_FOR("sm_103a")
KERNCAST_COMPILE_FOR("sm_110a")
KERNCAST_COMPILE_FOR("sm_120a")
KERNCAST_COMPILE_FOR("sm_121a")
#undef KERNCAST_COMPILE_FOR
