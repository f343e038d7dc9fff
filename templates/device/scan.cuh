#pragma once

/// Operations over the lanes of a warp: prefix sums, and lanes with equal values.
namespace kerncast {

/// Sum over the lanes up to and including this one. It is one block of PTX, which shortens the compile.
__device__ __forceinline__ int warp_prefix_sum(int value) {
  asm volatile(
      "{ .reg .b32 other;\n  .reg .pred has;\n"
      "  shfl.sync.up.b32 other|has, %0, 1, 0, -1;\n  @has add.s32 %0, %0, other;\n"
      "  shfl.sync.up.b32 other|has, %0, 2, 0, -1;\n  @has add.s32 %0, %0, other;\n"
      "  shfl.sync.up.b32 other|has, %0, 4, 0, -1;\n  @has add.s32 %0, %0, other;\n"
      "  shfl.sync.up.b32 other|has, %0, 8, 0, -1;\n  @has add.s32 %0, %0, other;\n"
      "  shfl.sync.up.b32 other|has, %0, 16, 0, -1;\n  @has add.s32 %0, %0, other; }"
      : "+r"(value));
  return value;
}

/// Numbers of lanes that have this lane's value.
struct Equals {
  int before;  ///< lanes before this one
  int all;     ///< all lanes, this one included
};

/// Compares `value` over the warp. It is one block of PTX, which shortens the compile.
__device__ __forceinline__ Equals equals_in_warp(int value) {
  Equals found;
  asm volatile(
      "{ .reg .b32 lanes, lower;\n  match.any.sync.b32 lanes, %2, -1;\n  mov.u32 lower, %%lanemask_lt;\n"
      "  and.b32 lower, lower, lanes;\n  popc.b32 %0, lower;\n  popc.b32 %1, lanes; }"
      : "=&r"(found.before), "=r"(found.all)
      : "r"(value));
  return found;
}

}  // namespace kerncast
