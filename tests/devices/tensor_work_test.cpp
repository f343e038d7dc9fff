#include "runtime/devices/tensor_work.hpp"

#include <catch2/catch.hpp>

namespace {

using namespace kerncast::devices;

TEST_CASE("an mma is worth its multiply-adds") {
  CHECK(tensor_fma("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1}, {%r1}, {%r2}, {%f1};") ==
        2048);
  CHECK(tensor_fma("@%p1 mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%r1};") == 1024);
  CHECK(tensor_fma("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f1};") == 2048);
  CHECK(tensor_fma("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r1};") == 2048);
  CHECK(tensor_fma("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32 {%f1};") == 2048);
  CHECK(tensor_fma("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%fd1};") == 4096);
  CHECK(
      tensor_fma("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%f1}, %rd1, %rd2, p, 1, 1, 0, 0;") ==
      32768);
  CHECK(tensor_fma("wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e5m2 {%f1}, %rd1, %rd2, p, 1, 1;") ==
        2048);
  CHECK(tensor_fma("wgmma.mma_async.sync.aligned.m64n8k32.satfinite.s32.s8.u8 {%r1}, %rd1, %rd2, p;") ==
        2048);
  CHECK(tensor_fma("wgmma.fence.sync.aligned;") == 0);
  CHECK(tensor_fma("fma.rn.f32 %f1, %f2, %f3, %f4;") == 0);
  CHECK(tensor_fma("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1}, [%r2];") == 0);
  CHECK(tensor_fma("") == 0);
}

}  // namespace
