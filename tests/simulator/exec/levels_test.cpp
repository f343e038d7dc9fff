#include <bit>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

using namespace kerncast::simulator;           // NOLINT(google-build-using-namespace)
using namespace kerncast::simulator::testing;  // NOLINT(google-build-using-namespace)

namespace {

/// Makes modules decoded while it lives run on one x86-64 level.
class Level {
 public:
  explicit Level(const char* name) { setenv("KERNCAST_SIM_ISA", name, 1); }
  ~Level() { unsetenv("KERNCAST_SIM_ISA"); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
};

/// The levels this machine runs, narrowest first.
std::vector<const char*> levels() {
  std::vector<const char*> found;
  for (const char* name : {"v2", "v3", "v4"}) {
    const Level level(name);
    if (executor_name() == std::string("x86-64-") + name) {
      found.push_back(name);
    }
  }
  return found;
}

/// Bit patterns of every kind: uniform ones, and for 32 and 64 bits floats of moderate size.
template <class T>
std::vector<T> patterns(std::uint32_t seed) {
  std::vector<T> values;
  std::uint64_t state = seed;
  for (int i = 0; i < 2000; ++i) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const std::uint64_t bits = state ^ state >> 29;
    if (i % 2 == 0) {
      values.push_back(static_cast<T>(bits));
    } else if constexpr (sizeof(T) == 8) {
      values.push_back(
          std::bit_cast<std::uint64_t>(static_cast<double>(static_cast<std::int64_t>(bits)) * 0x1p-55));
    } else if constexpr (sizeof(T) == 4) {
      values.push_back(
          std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1p-25F));
    } else {
      values.push_back(static_cast<T>((bits & 0x83ffU) | 0x3c00U));
    }
  }
  return values;
}

template <class D, class T>
void same_on_all(const std::string& instruction) {
  const std::vector<T> a = patterns<T>(1);
  const std::vector<T> b = patterns<T>(2);
  const std::vector<T> c = patterns<T>(3);
  std::vector<D> first;
  for (const char* name : levels()) {
    const Level level(name);
    const std::vector<D> got = run_op<D>(instruction, a, b, c);
    if (first.empty()) {
      first = got;
    }
    INFO(instruction << " on " << name);
    CHECK(got == first);
  }
}

}  // namespace

TEST_CASE("the level is picked by name, and one the machine lacks is never used") {
  const std::vector<const char*> found = levels();
  REQUIRE_FALSE(found.empty());
  CHECK(std::string(found.front()) == "v2");
  const std::string widest = std::string("x86-64-") + found.back();
  CHECK(executor_name() == widest);
  const Level level("v4");
  CHECK(executor_name() == widest);
}

TEST_CASE("every level gives the same bits: floats") {
  for (const char* instruction : {"add.rn.f32 d, a, b;",
                                  "mul.rz.f32 d, a, b;",
                                  "fma.rn.f32 d, a, b, c;",
                                  "fma.rp.ftz.f32 d, a, b, c;",
                                  "div.rn.f32 d, a, b;",
                                  "div.full.f32 d, a, b;",
                                  "div.approx.ftz.f32 d, a, b;",
                                  "sqrt.rn.f32 d, a;",
                                  "sqrt.approx.f32 d, a;",
                                  "rsqrt.approx.f32 d, a;",
                                  "rsqrt.approx.ftz.f32 d, a;",
                                  "rcp.approx.f32 d, a;",
                                  "rcp.rn.f32 d, a;",
                                  "ex2.approx.f32 d, a;",
                                  "ex2.approx.ftz.f32 d, a;",
                                  "lg2.approx.f32 d, a;",
                                  "sin.approx.f32 d, a;",
                                  "cos.approx.f32 d, a;",
                                  "tanh.approx.f32 d, a;",
                                  "min.f32 d, a, b;",
                                  "max.NaN.f32 d, a, b;",
                                  "cvt.rni.f32.f32 d, a;",
                                  "cvt.rzi.s32.f32 d, a;",
                                  "cvt.rn.f32.s32 d, a;",
                                  "cvt.rn.bf16x2.f32 d, a, b;",
                                  "cvt.rn.f16x2.f32 d, a, b;",
                                  "fma.rn.f16x2 d, a, b, c;",
                                  "fma.rn.bf16x2 d, a, b, c;",
                                  "add.rn.f16x2 d, a, b;",
                                  "mul.rn.bf16x2 d, a, b;"}) {
    same_on_all<std::uint32_t, std::uint32_t>(instruction);
  }
  for (const char* instruction : {"fma.rn.f64 d, a, b, c;", "fma.rm.f64 d, a, b, c;", "div.rn.f64 d, a, b;",
                                  "sqrt.rp.f64 d, a;", "cvt.rn.f64.s64 d, a;", "cvt.rzi.u64.f64 d, a;"}) {
    same_on_all<std::uint64_t, std::uint64_t>(instruction);
  }
  same_on_all<std::uint32_t, std::uint16_t>("cvt.f32.f16 d, a;");
  same_on_all<std::uint16_t, std::uint16_t>("fma.rn.bf16 d, a, b, c;");
  same_on_all<std::uint16_t, std::uint32_t>("cvt.rn.satfinite.e4m3x2.f32 d, a, b;");
}

TEST_CASE("every level gives the same bits: integers") {
  for (const char* instruction :
       {"mad.lo.s32 d, a, b, c;", "mul.hi.s32 d, a, b;", "div.s32 d, a, b;", "rem.u32 d, a, b;",
        "popc.b32 d, a;", "clz.b32 d, a;", "brev.b32 d, a;", "prmt.b32 d, a, b, c;",
        "lop3.b32 d, a, b, c, 0xca;", "dp4a.s32.s32 d, a, b, c;", "shf.l.wrap.b32 d, a, b, c;",
        "bfe.s32 d, a, b, c;", "sad.s32 d, a, b, c;", "shl.b32 d, a, b;", "shr.s32 d, a, b;"}) {
    same_on_all<std::uint32_t, std::uint32_t>(instruction);
  }
  for (const char* instruction : {"mad.lo.u64 d, a, b, c;", "mul.hi.u64 d, a, b;", "div.u64 d, a, b;",
                                  "min.s64 d, a, b;", "brev.b64 d, a;"}) {
    same_on_all<std::uint64_t, std::uint64_t>(instruction);
  }
}

TEST_CASE("modules of different levels run side by side and agree") {
  const std::vector<const char*> found = levels();
  std::vector<std::int32_t> first;
  LaunchCounts counts;
  for (const char* name : found) {
    const Level level(name);
    Runner runner(read_ptx("kernels.ptx"));
    std::int32_t* steps = runner.zeros<std::int32_t>(1000);
    REQUIRE(runner.run("collatz", {8, 1, 1}, {128, 1, 1}, 0, steps, std::int32_t{1000}).message.empty());
    const auto got = Runner::download(steps, 1000);
    if (first.empty()) {
      first = got;
      counts = runner.counts;
    }
    CHECK(got == first);
    CHECK(runner.counts.thread_instructions == counts.thread_instructions);
    CHECK(runner.counts.warp_instructions == counts.warp_instructions);
  }
}
