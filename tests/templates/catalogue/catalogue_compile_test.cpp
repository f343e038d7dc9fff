#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "kerncast/runtime.hpp"
#include "templates/host/checks.hpp"
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/catalogue/stream_order.hpp"
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
  const int sm = std::stoi(std::string(arch).substr(3));
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
      const std::string disorder =
          test::stream_order_defect(report.ptx, sm, 1 + workload.op->later_stages.size());
      INFO(disorder);
      CHECK(disorder.empty());
#ifdef KERNCAST_CATALOGUE_DECODES
      CHECK_NOTHROW(simulator::Module::decode(report.ptx, sm, memory, 0));
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

TEST_CASE("a kernel that may touch memory before it waits is found", "[stream_order]") {
  const auto defect = [](const std::string& body, int sm = 90) {
    const std::string ptx =
        ".visible .entry scale(\n.param .u64 a\n)\n{\n.reg .b64 %rd<2>;\n" + body + "\nret;\n}\n";
    return test::stream_order_defect(ptx, sm, 1);
  };
  const std::string begin = "// first\ngriddepcontrol.wait;\ngriddepcontrol.launch_dependents;\n";
  const std::string load = "ld.global.b64 %rd1, [%rd1];\n";
  CHECK(defect("ld.param.b64 %rd1, [a];\n" + begin + load).empty());
  CHECK_THAT(defect(load + begin),
             Catch::Contains("scale: 'ld.global.b64 %rd1, [%rd1]' comes before the wait"));
  CHECK_THAT(defect("@%p1 bra $L1;\n" + begin), Catch::Contains("comes before the wait"));
  CHECK_THAT(defect("$L1:\n" + begin), Catch::Contains("comes before the wait"));
  CHECK_THAT(defect("@%p1 " + begin), Catch::Contains("comes before the wait"));
  CHECK_THAT(defect("bar.sync 0;\n" + begin), Catch::Contains("comes before the wait"));
  CHECK_THAT(defect(""), Catch::Contains("'ret' comes before the wait"));
  CHECK_THAT(defect("griddepcontrol.launch_dependents;\n" + begin), Catch::Contains("comes before the wait"));
  CHECK_THAT(defect(begin + begin), Catch::Contains("waits 2 times"));
  CHECK_THAT(defect("griddepcontrol.wait;\n"), Catch::Contains("lets dependents go 0 times"));
  CHECK_THAT(defect(begin + "ld.global.nc.b32 %r1, [%rd1];\n"), Catch::Contains("reads memory as constant"));
  CHECK_THAT(defect(begin, 89), Catch::Contains("sm_89 has no griddepcontrol"));
  CHECK(defect(load, 89).empty());
  CHECK_THAT(test::stream_order_defect("", 90, 1), Catch::Contains("0 kernels in place of 1"));
}

#define KERNCAST_COMPILE_FOR(arch)                                                                \
  TEST_CASE("the catalogue compiles without spills, waits and decodes for " arch, "[" arch "]") { \
    compile_catalogue(arch);                                                                      \
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
