#include "tests/tools/profile/hand_made_launch.hpp"

#include "tools/profile/described_device.hpp"

namespace {

constexpr const char* file = "quant/toy.cuh";

KerncastSimCounts ran(std::uint64_t warps, std::uint64_t threads) {
  KerncastSimCounts counts{};
  counts.warp_instructions = warps;
  counts.thread_instructions = threads;
  return counts;
}

KerncastSimCounts global(std::uint64_t sectors, std::uint64_t least) {
  KerncastSimCounts counts = ran(40, 1280);
  counts.global_requests = 40;
  counts.global_bytes = 5120;
  counts.global_sectors = sectors;
  counts.global_least_sectors = least;
  return counts;
}

KerncastSimCounts shared(std::uint64_t wavefronts) {
  KerncastSimCounts counts = ran(40, 1280);
  counts.shared_requests = 40;
  counts.shared_bytes = 5120;
  counts.shared_wavefronts = wavefronts;
  counts.shared_least_wavefronts = 40;
  return counts;
}

}  // namespace

HandMadeLaunch::HandMadeLaunch() {
  KerncastSimCounts split = ran(40, 1280);
  split.divergent = 10;
  KerncastSimCounts spilled = ran(40, 1280);
  spilled.local_requests = 40;
  spilled.local_bytes = 5120;
  instructions = {
      {10, 5, file, "ld.global.f32 %f1, [%rd1];", "load", global(640, 160)},
      {11, 5, file, "st.shared.f32 [%r1], %f1;", "store", shared(40)},
      {12, 6, file, "bar.sync 0;", "barrier", ran(40, 1280)},
      {13, 7, file, "ld.shared.f32 %f2, [%r2];", "load", shared(80)},
      {14, 7, file, "fma.rn.f32 %f3, %f1, %f2, %f3;", "float", ran(200, 6400)},
      {15, 8, file, "@%p1 bra $L1;", "control", split},
      {16, 9, file, "st.global.f32 [%rd2], %f3;", "store", global(160, 160)},
      {17, 9, file, "st.local.f32 [%rd4], %f3;", "store", spilled},
      {18, 0, "", "red.global.add.u32 [%rd3], 1;", "atomic", global(160, 160)},
      {19, 12, file, "ex2.approx.f32 %f4, %f3;", "special", ran(0, 0)},
      {20, 0, "", "mov.u32 %r1, %tid.x;", "move", ran(40, 640)},
  };
  launch.kernel = "_Z3toyv";
  launch.grid[0] = 5;
  launch.grid[1] = 4;
  launch.grid[2] = 1;
  launch.block[0] = 32;
  launch.block[1] = 2;
  launch.block[2] = 1;
  launch.static_shared = 1024;
  launch.dynamic_shared = 512;
  launch.instruction_count = instructions.size();
  launch.instructions = instructions.data();
}

kerncast::tools::ProfileReport hand_made_report(const char* device) {
  kerncast::tools::OpProfile profile;
  profile.launch = kerncast::tools::copy_launch(HandMadeLaunch().launch);
  profile.report.op = "quant.toy";
  profile.report.spec = "hidden=64";
  profile.report.arch = "sm_90a";
  profile.report.tunables = "threads=64";
  profile.report.registers = 40;
  profile.report.spill_store_bytes = 4;
  profile.report.ptx = "one\ntwo\nthree\n";
  profile.rows = 1280;
  profile.checked = true;
  profile.verdict.ok = true;
  profile.verdict.max_error = 0.5;
  profile.read_bytes = 5120;
  profile.written_bytes = 1000;
  profile.sources = {{file,
                      "// 1\n// 2\n// 3\n// 4\nfloat x = in[i] < 1;\n__syncthreads();\ny += x;\nif (x)\n"
                      "out[i] = y;\n// 10\n// 11\n// 12\n// 13\n// 14\n"}};
  return make_report(std::move(profile), "mlp", kerncast::tools::require_device_description(device));
}
