#pragma once

#include "device/index.cuh"
#include "device/reduce.cuh"
#include "device/scalar.cuh"
#include "device/topk.cuh"

/// The device side of all routers. threads_per_row threads, a whole number of warps, share a token. Each of
/// them holds the same number of consecutive experts, and each warp chooses among its own; if there are
/// several, the first one then chooses among what they chose. Its lane k writes slot k.
namespace kerncast::moe {

/// Experts that a thread holds: 1, 2 or 4.
template <class Config>
inline constexpr int held_experts =
    power_of_two_from((Config::experts + Config::threads_per_row - 1) / Config::threads_per_row);

/// Warps that share a token.
template <class Config>
inline constexpr int row_warps = Config::threads_per_row / 32;

/// The token of this thread, and the thread's number among those that share the token. Threads past the last
/// token do the work of the last one again, but store nothing, so that nothing needs a branch.
template <class Config>
struct RouterThread {
  static constexpr bool alone = Config::rows_per_block == 1;
  unsigned thread = alone ? threadIdx.x : threadIdx.x % Config::threads_per_row;
  unsigned row = alone ? 0 : threadIdx.x / Config::threads_per_row;  ///< the token's number in the block
  unsigned lane = thread % 32;
  bool active;  ///< false past the last token
  long long token = linear_block() * Config::rows_per_block + row;

  __device__ __forceinline__ explicit RouterThread(long long rows) {
    active = token < rows;
    token = active ? token : rows - 1;
  }

  /// The first expert that the thread holds.
  __device__ __forceinline__ unsigned first() const { return thread * held_experts<Config>; }
  /// True if the thread's i-th expert exists.
  __device__ __forceinline__ bool has(int i) const {
    constexpr int count = held_experts<Config>;
    return count * Config::threads_per_row == Config::experts ||
           first() + (Config::experts % count == 0 ? 0 : i) < Config::experts;
  }
  /// The place of the thread's first expert, by which equal keys are ordered.
  __device__ __forceinline__ int place_of_first() const { return last_place - static_cast<int>(first()); }
  /// True if the thread has one of the first `slots` slots.
  __device__ __forceinline__ bool has_slot(int slots) const { return thread < slots; }
};

/// Waits for the threads of a token. Those of several warps wait for the whole block.
template <class Config>
__device__ __forceinline__ void sync_row() {
  if constexpr (row_warps<Config> == 1) {
    __syncwarp();
  } else {
    __syncthreads();
  }
}

/// The elements of a word, as floats.
__device__ __forceinline__ void unpack_logits(const bf16*, unsigned word, float* values) {
  values[0] = __uint_as_float(word << 16);
  values[1] = __uint_as_float(word & 0xffff0000u);
}
__device__ __forceinline__ void unpack_logits(const f16*, unsigned word, float* values) {
  asm("{ .reg .b16 low, high;\n  mov.b32 {low, high}, %2;\n  cvt.f32.f16 %0, low;\n  cvt.f32.f16 %1, high; }"
      : "=f"(values[0]), "=f"(values[1])
      : "r"(word));
}

/// Loads 2 or 4 elements if `has`, at once if `aligned`, and else zeros. Each is one block of PTX, since
/// branches lengthen the compile.
template <int Count>
__device__ __forceinline__ void load_run(const f32* own, int aligned, int has, float* values) {
  if constexpr (Count == 4) {
    asm("{ .reg .pred h, p, q;\n  setp.ne.s32 h, %6, 0;\n  setp.ne.and.s32 p|q, %5, 0, h;\n"
        "  mov.f32 %0, 0f00000000;\n  mov.f32 %1, %0;\n  mov.f32 %2, %0;\n  mov.f32 %3, %0;\n"
        "  @p ld.global.v4.f32 {%0, %1, %2, %3}, [%4];\n  @q ld.global.f32 %0, [%4];\n"
        "  @q ld.global.f32 %1, [%4 + 4];\n  @q ld.global.f32 %2, [%4 + 8];\n  @q ld.global.f32 %3, [%4 + "
        "12]; }"
        : "=&f"(values[0]), "=&f"(values[1]), "=&f"(values[2]), "=&f"(values[3])
        : "l"(own), "r"(aligned), "r"(has));
  } else {
    asm("{ .reg .pred h, p, q;\n  setp.ne.s32 h, %4, 0;\n  setp.ne.and.s32 p|q, %3, 0, h;\n"
        "  mov.f32 %0, 0f00000000;\n  mov.f32 %1, %0;\n  @p ld.global.v2.f32 {%0, %1}, [%2];\n"
        "  @q ld.global.f32 %0, [%2];\n  @q ld.global.f32 %1, [%2 + 4]; }"
        : "=&f"(values[0]), "=&f"(values[1])
        : "l"(own), "r"(aligned), "r"(has));
  }
}
template <int Count, class T>
__device__ __forceinline__ void load_run(const T* own, int aligned, int has, float* values) {
  unsigned words[Count / 2];
  if constexpr (Count == 4) {
    asm("{ .reg .pred h, p, q;\n  .reg .b16 a, b, c, d;\n  setp.ne.s32 h, %4, 0;\n"
        "  setp.ne.and.s32 p|q, %3, 0, h;\n  mov.u32 %0, 0;\n  mov.u32 %1, 0;\n"
        "  @p ld.global.v2.u32 {%0, %1}, [%2];\n  @q ld.global.b16 a, [%2];\n  @q ld.global.b16 b, [%2 + "
        "2];\n"
        "  @q ld.global.b16 c, [%2 + 4];\n  @q ld.global.b16 d, [%2 + 6];\n  @q mov.b32 %0, {a, b};\n"
        "  @q mov.b32 %1, {c, d}; }"
        : "=&r"(words[0]), "=&r"(words[1])
        : "l"(own), "r"(aligned), "r"(has));
    unpack_logits(own, words[1], values + 2);
  } else {
    asm("{ .reg .pred h, p, q;\n  .reg .b16 a, b;\n  setp.ne.s32 h, %3, 0;\n"
        "  setp.ne.and.s32 p|q, %2, 0, h;\n  mov.u32 %0, 0;\n"
        "  @p ld.global.u32 %0, [%1];\n  @q ld.global.b16 a, [%1];\n  @q ld.global.b16 b, [%1 + 2];\n"
        "  @q mov.b32 %0, {a, b}; }"
        : "=&r"(words[0])
        : "l"(own), "r"(aligned), "r"(has));
  }
  unpack_logits(own, words[0], values);
}

/// Loads the thread's elements of a row of one element per expert. Those of experts that do not exist are
/// without meaning.
template <class Config, class T>
__device__ __forceinline__ void load_held(const T* row, const RouterThread<Config>& at, float* values) {
  constexpr int count = held_experts<Config>;
  const T* own = row + at.first();
  if constexpr (count > 1 && Config::experts % count == 0) {
    constexpr unsigned mask = count * static_cast<unsigned>(sizeof(T)) - 1;
    load_run<count>(own, (static_cast<unsigned>(reinterpret_cast<size_t>(own)) & mask) == 0 ? 1 : 0,
                    at.has(0) ? 1 : 0, values);
  } else {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      if (at.has(i)) {
        values[i] = load_value(own + i);
      }
    }
  }
}

/// Candidates that a lane takes of what `Warps` warps chose, `Slots` each, so that no lane has those of two
/// warps.
template <int Warps, int Slots>
constexpr int merged_candidates() {
  int count = 1;
  while (Warps * ((Slots + count - 1) / count) > 32) {
    count *= 2;
  }
  return count;
}

/// Chooses the `Slots` largest of the token's candidates, which each thread holds in order. Lane k of the
/// first warp gets the k-th; the result of other warps is without meaning. All threads of the block take
/// part, unless the token has one warp.
template <class Config, int Slots>
__device__ __forceinline__ Candidate choose_experts(Ranked (&held)[held_experts<Config>],
                                                    const RouterThread<Config>& at) {
  constexpr int warps = row_warps<Config>;
  Candidate mine = choose<Slots>(held, at.lane);
  if constexpr (warps > 1) {
    constexpr int count = merged_candidates<warps, Slots>();
    // A warp's choices, filled up with none_ranked to a multiple of the candidates that a lane takes.
    constexpr int places = (Slots + count - 1) / count * count;
    __shared__ Ranked chosen[Config::rows_per_block][warps * places];
    if (places == 32 || at.lane < places) {
      chosen[at.row][at.thread / 32 * places + at.lane] = mine.ranked();
    }
    __syncthreads();
    if (at.thread < 32) {
      Ranked merged[count];
#pragma unroll
      for (int i = 0; i < count; ++i) {
        const unsigned from = at.lane * count + i;
        merged[i] =
            32 * count == warps * places || from < warps * places ? chosen[at.row][from] : none_ranked;
      }
      mine = choose<Slots>(merged, at.lane);
    }
  }
  return mine;
}

/// Writes the lane's slot, if it has one. A row of padding has the weight 0 and the id -1.
template <class Config, class Args>
__device__ __forceinline__ void store_slot(const Args& args, const RouterThread<Config>& at, float weight,
                                           int id) {
  if (at.active && at.has_slot(Config::top_k)) {
    if constexpr (Config::has_num_token_non_padded) {
      const bool is_padding = at.token >= *args.num_token_non_padded;
      weight = is_padding ? 0.0f : weight;
      id = is_padding ? -1 : id;
    }
    args.weights[at.token * args.weights_stride + at.thread] = weight;
    args.ids[at.token * args.ids_stride + at.thread] = id;
  }
}

}  // namespace kerncast::moe
