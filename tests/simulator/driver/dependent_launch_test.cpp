// Launches that may begin before the launch before them has ended (programmatic dependent launch). ctest runs
// the suite three times, with KERNCAST_SIM_PDL unset, early and late.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;
using Catch::Matchers::Contains;
using Words = std::vector<unsigned int>;

namespace {

/// Each kernel works on one word of each block, at 4 * ctaid.x, in threads that all do the same.
/// first(x, seen, flag): triggers, stores in `seen` what it then finds in `flag`, and stores 7 in `x`.
/// second(x, out, flag): sets `flag`, waits, and stores x + 1 in `out`. bystander(flag): sets `flag` and
/// ends. next(x, out): waits, triggers, and stores x + 1 in `out`. hasty(x, out): reads x, waits, and stores
/// x + 1 in `out`. hasty_write(x, out): stores in x, waits. led(x, out): warp 0 waits, a barrier, and all
/// store x + 1. ahead(w, x, out): reads w, waits, and stores w + x. slow(x): triggers, counts to 20000,
/// and stores 7 in x. fails(x): triggers, counts, and traps. spins(x, flag): triggers, and waits until `flag`
/// is set to store 7.
constexpr const char* ptx = R"(
.version 8.0
.target sm_90
.address_size 64
.visible .entry first(.param .u64 px, .param .u64 pseen, .param .u64 pflag)
{
  .reg .b32 i, v; .reg .b64 x, seen, flag;
  ld.param.u64 x, [px]; ld.param.u64 seen, [pseen]; ld.param.u64 flag, [pflag];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x; mad.wide.u32 seen, i, 4, seen;
  griddepcontrol.launch_dependents;
  ld.volatile.global.u32 v, [flag];
  st.global.u32 [seen], v;
  mov.u32 v, 7;
  st.global.u32 [x], v;
  ret;
}
.visible .entry second(.param .u64 px, .param .u64 pout, .param .u64 pflag)
{
  .reg .b32 i, v; .reg .b64 x, out, flag;
  ld.param.u64 x, [px]; ld.param.u64 out, [pout]; ld.param.u64 flag, [pflag];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x; mad.wide.u32 out, i, 4, out;
  mov.u32 v, 1;
  st.volatile.global.u32 [flag], v;
  griddepcontrol.wait;
  ld.global.u32 v, [x]; add.u32 v, v, 1; st.global.u32 [out], v;
  ret;
}
.visible .entry bystander(.param .u64 pflag)
{
  .reg .b32 v; .reg .b64 flag;
  ld.param.u64 flag, [pflag];
  mov.u32 v, 1;
  st.volatile.global.u32 [flag], v;
  ret;
}
.visible .entry next(.param .u64 px, .param .u64 pout)
{
  .reg .b32 i, v; .reg .b64 x, out;
  ld.param.u64 x, [px]; ld.param.u64 out, [pout];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x; mad.wide.u32 out, i, 4, out;
  griddepcontrol.wait;
  griddepcontrol.launch_dependents;
  ld.global.u32 v, [x]; add.u32 v, v, 1; st.global.u32 [out], v;
  ret;
}
.visible .entry eager_next(.param .u64 px, .param .u64 pout)
{
  .reg .b32 i, v; .reg .b64 x, out;
  ld.param.u64 x, [px]; ld.param.u64 out, [pout];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x; mad.wide.u32 out, i, 4, out;
  griddepcontrol.launch_dependents;
  griddepcontrol.wait;
  ld.global.u32 v, [x]; add.u32 v, v, 1; st.global.u32 [out], v;
  ret;
}
.visible .entry hasty(.param .u64 px, .param .u64 pout)
{
  .reg .b32 i, v; .reg .b64 x, out;
  ld.param.u64 x, [px]; ld.param.u64 out, [pout];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x; mad.wide.u32 out, i, 4, out;
  ld.global.u32 v, [x];
  griddepcontrol.wait;
  add.u32 v, v, 1; st.global.u32 [out], v;
  ret;
}
.visible .entry hasty_write(.param .u64 px, .param .u64 pout)
{
  .reg .b32 i, v; .reg .b64 x;
  ld.param.u64 x, [px];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x;
  mov.u32 v, 3;
  st.global.u32 [x], v;
  griddepcontrol.wait;
  ret;
}
.visible .entry led(.param .u64 px, .param .u64 pout)
{
  .reg .b32 i, v; .reg .b64 x, out; .reg .pred p;
  ld.param.u64 x, [px]; ld.param.u64 out, [pout];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x; mad.wide.u32 out, i, 4, out;
  mov.u32 v, %tid.x;
  setp.lt.u32 p, v, 32;
  @p griddepcontrol.wait;
  bar.sync 0;
  ld.global.u32 v, [x]; add.u32 v, v, 1; st.global.u32 [out], v;
  ret;
}
.visible .entry ahead(.param .u64 pw, .param .u64 px, .param .u64 pout)
{
  .reg .b32 i, v, u; .reg .b64 w, x, out;
  ld.param.u64 w, [pw]; ld.param.u64 x, [px]; ld.param.u64 out, [pout];
  mov.u32 i, %ctaid.x; mad.wide.u32 w, i, 4, w; mad.wide.u32 x, i, 4, x; mad.wide.u32 out, i, 4, out;
  ld.global.u32 u, [w];
  griddepcontrol.wait;
  ld.global.u32 v, [x]; add.u32 v, v, u; st.global.u32 [out], v;
  ret;
}
.visible .entry slow(.param .u64 px)
{
  .reg .b32 i, v; .reg .b64 x; .reg .pred p;
  ld.param.u64 x, [px];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x;
  griddepcontrol.launch_dependents;
  mov.u32 v, 20000;
AGAIN:
  sub.u32 v, v, 1; setp.ne.u32 p, v, 0;
  @p bra AGAIN;
  mov.u32 v, 7;
  st.global.u32 [x], v;
  ret;
}
.visible .entry fails(.param .u64 px)
{
  .reg .b32 v; .reg .pred p;
  griddepcontrol.launch_dependents;
  mov.u32 v, 20000;
AGAIN:
  sub.u32 v, v, 1; setp.ne.u32 p, v, 0;
  @p bra AGAIN;
  trap;
  ret;
}
.visible .entry spins(.param .u64 px, .param .u64 pflag)
{
  .reg .b32 i, v; .reg .b64 x, flag; .reg .pred p;
  ld.param.u64 x, [px]; ld.param.u64 flag, [pflag];
  mov.u32 i, %ctaid.x; mad.wide.u32 x, i, 4, x;
  griddepcontrol.launch_dependents;
AGAIN:
  ld.volatile.global.u32 v, [flag]; setp.eq.u32 p, v, 0;
  @p bra AGAIN;
  mov.u32 v, 7;
  st.global.u32 [x], v;
  ret;
}
.visible .entry spins_first(.param .u64 pflag, .param .u64 pout)
{
  .reg .b32 v; .reg .b64 flag, out; .reg .pred p;
  ld.param.u64 flag, [pflag]; ld.param.u64 out, [pout];
AGAIN:
  ld.volatile.global.u32 v, [flag]; setp.eq.u32 p, v, 0;
  @p bra AGAIN;
  griddepcontrol.wait;
  st.global.u32 [out], v;
  ret;
}
.visible .entry sets(.param .u64 pflag)
{
  .reg .b32 v; .reg .b64 flag;
  ld.param.u64 flag, [pflag];
  griddepcontrol.launch_dependents;
  mov.u32 v, 1;
  st.volatile.global.u32 [flag], v;
  ret;
}
)";

enum class Begin : std::uint8_t { any, early, late };

Begin begin() {
  const char* wish = std::getenv("KERNCAST_SIM_PDL");
  return wish == nullptr ? Begin::any : *wish == 'e' ? Begin::early : Begin::late;
}

/// A context of its own, since a fault stays with its context, and a stream in it.
struct Device : OwnContext {
  Device() : stream(OwnContext::stream()), flag(words(1, 0)) {
    REQUIRE_CU(CU(cuModuleLoadData)(&loaded, ptx));
  }

  /// Launches a kernel on blocks of `threads` threads, as a dependent of the launch before or not.
  template <class... Pointers>
  void run(bool dependent, const char* name, unsigned int blocks, Pointers... pointers) const {
    CUfunction function = nullptr;
    REQUIRE_CU(CU(cuModuleGetFunction)(&function, loaded, name));
    CUlaunchAttribute attribute{};
    attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attribute.value.programmaticStreamSerializationAllowed = dependent ? 1 : 0;
    const CUlaunchConfig config{blocks, 1, 1, threads, 1, 1, 0, stream, &attribute, 1};
    void* parameters[] = {&pointers...};
    REQUIRE_CU(CU(cuLaunchKernelEx)(&config, function, parameters, nullptr));
  }

  /// Puts work on the stream all of which is there before any of it begins.
  template <class Work>
  void together(Work&& work) const {
    Gate gate;
    REQUIRE_CU(gate.close(virtual_gpu()->api, stream));
    work();
    gate.open();
  }

  [[nodiscard]] CUresult finish() const { return CU(cuStreamSynchronize)(stream); }

  CUstream stream;
  CUmodule loaded = nullptr;
  CUdeviceptr flag;
  unsigned int threads = 1;
};

/// The flag that the first kernel must have seen after its trigger, once for each of `blocks`.
void check_seen(const Device& device, CUdeviceptr seen, unsigned int blocks) {
  const Words found = Device::read(seen, blocks);
  if (begin() != Begin::any) {
    CHECK(found == Words(blocks, begin() == Begin::early ? 1 : 0));
  }
  CHECK(Device::read(device.flag, 1) == Words{1});
}

std::string last_fault() {
  const char* text = CU(kerncastSimLastFault)();
  return text == nullptr ? "" : text;
}

}  // namespace

TEST_CASE("a dependent launch begins before the one before it ends, and sees its memory after the wait") {
  for (const unsigned int blocks : {1U, 5U, 300U}) {
    INFO(blocks);
    Device device;
    device.threads = blocks == 5 ? 96 : 1;
    const CUdeviceptr x = Device::words(blocks, 0);
    const CUdeviceptr seen = Device::words(blocks, 5);
    const CUdeviceptr out = Device::words(blocks, 0);
    device.together([&] {
      device.run(false, "first", blocks, x, seen, device.flag);
      device.run(true, "second", blocks, x, out, device.flag);
    });
    REQUIRE_CU(device.finish());
    CHECK(Device::read(out, blocks) == Words(blocks, 8));
    check_seen(device, seen, blocks);
  }
}

TEST_CASE("grids of more blocks than the host's threads hold overlap without a deadlock") {
  constexpr unsigned int blocks = 5000;
  Device device;
  const CUdeviceptr x = Device::words(blocks, 0);
  const CUdeviceptr seen = Device::words(blocks, 0);
  const CUdeviceptr out = Device::words(blocks, 0);
  device.together([&] {
    device.run(false, "first", blocks, x, seen, device.flag);
    device.run(true, "second", blocks, x, out, device.flag);
  });
  REQUIRE_CU(device.finish());
  CHECK(Device::read(out, blocks) == Words(blocks, 8));
  const CUdeviceptr y = Device::words(blocks, 0);
  device.together([&] {
    device.run(false, "slow", 3, y);
    device.run(true, "next", blocks, y, y);
    device.run(true, "eager_next", blocks, y, y);
  });
  REQUIRE_CU(device.finish());
  Words expected(blocks, 2);
  std::fill_n(expected.begin(), 3, 9);
  CHECK(Device::read(y, blocks) == expected);
}

TEST_CASE("a chain of launches that each wait hands values on") {
  for (const char* kernel : {"next", "eager_next"}) {
    INFO(kernel);
    constexpr unsigned int blocks = 40;
    constexpr unsigned int launches = 30;
    Device device;
    std::vector<CUdeviceptr> values;
    for (unsigned int i = 0; i <= launches; ++i) {
      values.push_back(Device::words(blocks, 0));
    }
    device.together([&] {
      device.run(false, "slow", blocks, values[0]);
      for (unsigned int i = 0; i < launches; ++i) {
        device.run(true, kernel, blocks, values[i], values[i + 1]);
      }
    });
    REQUIRE_CU(device.finish());
    CHECK(Device::read(values.back(), blocks) == Words(blocks, 7 + launches));
  }
}

TEST_CASE("a launch that ends without waiting ends after the one before it, for whatever comes next") {
  Device device;
  const CUdeviceptr x = Device::words(4, 0);
  const CUdeviceptr y = Device::words(4, 0);
  const CUdeviceptr z = Device::words(4, 0);
  device.together([&] {
    device.run(false, "slow", 4, x);
    device.run(true, "bystander", 1, device.flag);
    // A launch without the attribute, and one with it behind the bystander, come after the slow one too.
    device.run(true, "next", 4, x, y);
    device.run(false, "hasty", 4, x, z);
  });
  REQUIRE_CU(device.finish());
  CHECK(Device::read(y, 4) == Words(4, 8));
  CHECK(Device::read(z, 4) == Words(4, 8));
  CUevent event = Device::event();
  device.together([&] {
    device.run(false, "slow", 4, y);
    device.run(true, "bystander", 1, device.flag);
    REQUIRE_CU(CU(cuEventRecord)(event, device.stream));
  });
  REQUIRE_CU(CU(cuEventSynchronize)(event));
  CHECK(Device::read(y, 4) == Words(4, 7));
}

TEST_CASE("work that is no launch, and a launch without the attribute, keep their order") {
  for (const bool dependent : {false, true}) {
    INFO(dependent);
    Device device;
    const CUdeviceptr x = Device::words(3, 0);
    const CUdeviceptr seen = Device::words(3, 5);
    const CUdeviceptr out = Device::words(3, 0);
    CUevent event = Device::event();
    device.together([&] {
      device.run(false, "first", 3, x, seen, device.flag);
      if (dependent) {
        REQUIRE_CU(CU(cuEventRecord)(event, device.stream));
      }
      device.run(dependent, "second", 3, x, out, device.flag);
    });
    REQUIRE_CU(device.finish());
    CHECK(Device::read(seen, 3) == Words(3, 0));
    CHECK(Device::read(out, 3) == Words(3, 8));
    device.together([&] {
      REQUIRE_CU(CU(cuMemsetD32Async)(x, 4, 3, device.stream));
      device.run(dependent, "hasty", 3, x, out);
    });
    REQUIRE_CU(device.finish());
    CHECK(Device::read(out, 3) == Words(3, 5));
  }
}

TEST_CASE("an access before the wait that meets one of the launch before is reported") {
  struct Case {
    const char* kernel;
    const char* what;
    const char* line;
  };
  for (const Case& wrong :
       {Case{"hasty", "read of 4 bytes at global address", "ld.global.u32 v, [x];"},
        Case{"hasty_write", "write of 4 bytes at global address", "st.global.u32 [x], v;"}}) {
    INFO(wrong.kernel);
    Device device;
    const CUdeviceptr x = Device::words(2, 0);
    const CUdeviceptr out = Device::words(2, 0);
    device.together([&] {
      device.run(false, "slow", 2, x);
      device.run(true, wrong.kernel, 2, x, out);
    });
    CHECK(device.finish() == CUDA_ERROR_LAUNCH_FAILED);
    CHECK_THAT(last_fault(), Contains("kernel '" + std::string(wrong.kernel) + "', block (") &&
                                 Contains(wrong.what) && Contains("before griddepcontrol.wait") &&
                                 Contains("where kernel 'slow' before it writes") && Contains(wrong.line));
  }
  // The launch before the last may overlap too, if the last one triggers before it waits.
  Device device;
  const CUdeviceptr x = Device::words(2, 0);
  const CUdeviceptr y = Device::words(2, 0);
  const CUdeviceptr z = Device::words(2, 0);
  device.together([&] {
    device.run(false, "slow", 2, x);
    device.run(true, "eager_next", 2, z, y);
    device.run(true, "hasty", 2, x, y);
  });
  CHECK(device.finish() == CUDA_ERROR_LAUNCH_FAILED);
  CHECK_THAT(last_fault(), Contains("kernel 'hasty'") && Contains("where kernel 'slow' before it writes"));
}

TEST_CASE("accesses before the wait to other memory, and after another warp's wait, are fine") {
  Device device;
  device.threads = 128;
  const CUdeviceptr w = Device::words(6, 10);
  const CUdeviceptr x = Device::words(6, 0);
  const CUdeviceptr y = Device::words(6, 0);
  const CUdeviceptr z = Device::words(6, 0);
  device.together([&] {
    device.run(false, "slow", 6, x);
    device.run(true, "ahead", 6, w, x, y);
    device.run(true, "led", 6, y, z);
    // The launches before the last are over where that one has waited before it triggers.
    device.run(true, "next", 6, z, y);
    device.run(true, "hasty", 6, x, z);
  });
  REQUIRE_CU(device.finish());
  CHECK(Device::read(y, 6) == Words(6, 19));
  CHECK(Device::read(z, 6) == Words(6, 8));
  // A launch whose end the host has seen cannot overlap with a later one.
  device.run(false, "slow", 6, x);
  REQUIRE_CU(device.finish());
  device.run(true, "hasty", 6, x, y);
  REQUIRE_CU(device.finish());
  CHECK(Device::read(y, 6) == Words(6, 8));
}

TEST_CASE("a fault of a launch ends the ones that wait for it") {
  Device device;
  const CUdeviceptr x = Device::words(4, 0);
  const CUdeviceptr out = Device::words(4, 1);
  device.together([&] {
    device.run(false, "fails", 4, x);
    device.run(true, "next", 4, x, out);
    device.run(true, "spins", 4, x, device.flag);
    device.run(true, "next", 4, x, out);
  });
  CHECK(device.finish() == CUDA_ERROR_LAUNCH_FAILED);
  CHECK_THAT(last_fault(), Contains("kernel 'fails'") && Contains("trap"));
}

TEST_CASE("a launch may wait in a loop for one that overlaps with it") {
  if (begin() == Begin::late) {
    return;  // on a device too it would wait for ever if its dependent did not begin
  }
  Device device;
  const CUdeviceptr x = Device::words(2, 0);
  device.together([&] {
    device.run(false, "spins", 2, x, device.flag);
    device.run(true, "bystander", 1, device.flag);
  });
  REQUIRE_CU(device.finish());
  CHECK(Device::read(x, 2) == Words(2, 7));
  const CUdeviceptr other = Device::words(1, 0);
  device.together([&] {
    device.run(false, "sets", 1, other);
    device.run(true, "spins_first", 1, other, x);
  });
  REQUIRE_CU(device.finish());
  CHECK(Device::read(x, 1) == Words{1});
}

namespace {

/// The graph of what `work` puts on the stream.
template <class Work>
CUgraph captured(const Device& device, Work&& work) {
  CUgraph graph = nullptr;
  REQUIRE_CU(CU(cuStreamBeginCapture_v2)(device.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
  work();
  REQUIRE_CU(CU(cuStreamEndCapture)(device.stream, &graph));
  return graph;
}

CUgraphExec executable(CUgraph graph) {
  CUgraphExec made = nullptr;
  REQUIRE_CU(CU(cuGraphInstantiateWithFlags)(&made, graph, 0));
  return made;
}

constexpr std::size_t most_edges = 8;

struct Edges {
  std::size_t count = most_edges;
  CUgraphNode from[most_edges] = {};
  CUgraphNode to[most_edges] = {};
  api::CUgraphEdgeData data[most_edges] = {};

  explicit Edges(CUgraph graph) { REQUIRE_CU(CU(cuGraphGetEdges_v2)(graph, from, to, data, &count)); }
  [[nodiscard]] std::size_t programmatic() const {
    return static_cast<std::size_t>(std::count_if(data, data + count, [](const api::CUgraphEdgeData& edge) {
      return edge.type == 1 && edge.from_port == 1 && edge.to_port == 0;
    }));
  }
};

}  // namespace

TEST_CASE("a captured dependent launch has a programmatic edge, and overlaps when the graph runs") {
  for (const unsigned int blocks : {1U, 5000U}) {
    INFO(blocks);
    Device device;
    const CUdeviceptr x = Device::words(blocks, 0);
    const CUdeviceptr seen = Device::words(blocks, 5);
    const CUdeviceptr out = Device::words(blocks, 0);
    const CUdeviceptr last = Device::words(blocks, 0);
    CUgraph graph = captured(device, [&] {
      REQUIRE_CU(CU(cuMemsetD32Async)(x, 3, blocks, device.stream));
      device.run(true, "first", blocks, x, seen, device.flag);  // a fill comes before it: a full edge
      device.run(true, "second", blocks, x, out, device.flag);
      device.run(true, "next", blocks, out, last);
      device.run(false, "hasty", blocks, last, out);
    });
    const Edges edges(graph);
    CHECK(edges.count == 4);
    CHECK(edges.programmatic() == 2);
    std::size_t count = most_edges;
    CUgraphNode from[most_edges];
    CUgraphNode to[most_edges];
    CHECK(CU(cuGraphGetEdges)(graph, from, to, &count) == CUDA_ERROR_LOSSY_QUERY);
    REQUIRE_CU(CU(cuGraphGetEdges)(graph, nullptr, nullptr, &count));
    CHECK(count == 4);
    CUgraph copy = nullptr;
    REQUIRE_CU(CU(cuGraphClone)(&copy, graph));
    CHECK(Edges(copy).programmatic() == 2);
    CUgraphExec exec = executable(copy);
    for (int i = 0; i < 3; ++i) {
      REQUIRE_CU(CU(cuMemsetD32Async)(device.flag, 0, 1, device.stream));
      REQUIRE_CU(CU(cuGraphLaunch)(exec, device.stream));
      REQUIRE_CU(device.finish());
      CHECK(Device::read(last, blocks) == Words(blocks, 9));
      CHECK(Device::read(out, blocks) == Words(blocks, 10));
      if (blocks == 1) {
        check_seen(device, seen, blocks);
      }
    }
  }
}

TEST_CASE("a graph's launches are checked as a stream's, and end with a fault of one before") {
  Device device;
  const CUdeviceptr x = Device::words(2, 0);
  const CUdeviceptr out = Device::words(2, 0);
  CUgraphExec hasty = executable(captured(device, [&] {
    device.run(false, "slow", 2, x);
    device.run(true, "hasty", 2, x, out);
  }));
  REQUIRE_CU(CU(cuGraphLaunch)(hasty, device.stream));
  CHECK(device.finish() == CUDA_ERROR_LAUNCH_FAILED);
  CHECK_THAT(last_fault(), Contains("kernel 'hasty'") && Contains("where kernel 'slow' before it writes"));
  Device other;
  const CUdeviceptr y = Device::words(4, 1);
  CUgraphExec fails = executable(captured(other, [&] {
    other.run(false, "fails", 4, y);
    other.run(true, "spins", 4, y, other.flag);
    other.run(true, "next", 4, y, y);
  }));
  REQUIRE_CU(CU(cuGraphLaunch)(fails, other.stream));
  CHECK(other.finish() == CUDA_ERROR_LAUNCH_FAILED);
  CHECK_THAT(last_fault(), Contains("kernel 'fails'") && Contains("trap"));
}

TEST_CASE("programmatic edges lead from kernel to kernel and are part of a graph's structure") {
  Device device;
  const CUdeviceptr x = Device::words(1, 0);
  const CUdeviceptr out = Device::words(1, 0);
  const auto chain = [&](bool dependent) {
    return captured(device, [&] {
      device.run(false, "slow", 1, x);
      device.run(dependent, "next", 1, x, out);
      REQUIRE_CU(CU(cuMemsetD32Async)(x, 0, 1, device.stream));
    });
  };
  CUgraph plain = chain(false);
  CUgraph programmatic = chain(true);
  CUgraphExec exec = executable(plain);
  api::CUgraphExecUpdateResultInfo info{};
  CHECK(CU(cuGraphExecUpdate_v2)(exec, programmatic, &info) == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  CHECK(info.result == api::CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
  const Edges edges(plain);
  const auto at = static_cast<std::size_t>(std::find_if(edges.from, edges.from + edges.count,
                                                        [&](CUgraphNode from) {
                                                          return std::find(edges.to, edges.to + edges.count,
                                                                           from) == edges.to + edges.count;
                                                        }) -
                                           edges.from);
  CUgraphNode slow = edges.from[at];
  CUgraphNode next = edges.to[at];
  CUgraphNode fill = edges.to[1 - at];
  api::CUgraphEdgeData edge{1, 0, 1, {}};
  CHECK(CU(cuGraphRemoveDependencies_v2)(plain, &slow, &next, &edge, 1) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE_CU(CU(cuGraphRemoveDependencies_v2)(plain, &slow, &next, nullptr, 1));
  REQUIRE_CU(CU(cuGraphAddDependencies_v2)(plain, &slow, &next, &edge, 1));
  CHECK(CU(cuGraphAddDependencies_v2)(plain, &slow, &fill, &edge, 1) == CUDA_ERROR_INVALID_VALUE);
  edge.from_port = 2;
  CHECK(CU(cuGraphAddDependencies_v2)(plain, &slow, &fill, &edge, 1) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(Edges(plain).programmatic() == 1);
  REQUIRE_CU(CU(cuGraphExecUpdate_v2)(executable(plain), programmatic, &info));
  REQUIRE_CU(CU(cuGraphLaunch)(executable(plain), device.stream));
  REQUIRE_CU(device.finish());
  CHECK(Device::read(out, 1) == Words{8});
}
