#pragma once

#include "device/async_copy.cuh"
#include "device/formats/decode_bytes.cuh"
#include "device/formats/four_bits.cuh"
#include "device/formats/fp8_halves.cuh"
#include "device/matrix.cuh"
#include "device/programmatic_launch.cuh"
#include "device/scalar.cuh"
#include "device/vec.cuh"
#include "moe/grouped_gemm/activation.cuh"
#include "moe/grouped_gemm/bias.cuh"
#include "moe/grouped_gemm/kernel_args.h"
#include "moe/grouped_gemm/tile.h"

namespace kerncast::moe {

/// One tile of c by all threads of a block. Rows of b are the left operand of the products, so that a tile
/// may have as few as 8 rows of c. Every element of c is one chain of products in order of k, whatever the
/// tile.
template <class Config>
class GroupedGemm {
 public:
  __device__ explicit GroupedGemm(const GroupedGemmKernelArgs& args) : args_(args) {
    extern __shared__ uint4 dynamic_memory[];
    memory_ = reinterpret_cast<unsigned char*>(dynamic_memory);
    shared_ = shared_address(dynamic_memory);
    slots_ = reinterpret_cast<int*>(memory_ + tile.shared_bytes()) - tile.rows;
  }

  /// Tiles that share the rows of one block of the grouping.
  static constexpr int tiles_per_block = (Config::block + Config::tile_m - 1) / Config::tile_m;
  static constexpr GemmActivation activation = static_cast<GemmActivation>(Config::activation);
  static constexpr bool is_gated = activation != GemmActivation::none;
  /// Columns of c, and of a tile of it. A gated tile has rows of both halves of b.
  static constexpr int columns = is_gated ? Config::n / 2 : Config::n;
  static constexpr int tile_columns = is_gated ? Config::tile_n / 2 : Config::tile_n;
  static constexpr int column_tiles = (columns + tile_columns - 1) / tile_columns;

  /// Multiplies rows [first, first + count) of `sorted`, which share an expert, for columns of c from
  /// `column` on.
  __device__ void multiply(int first, int count, int expert, int column) {
    column_ = column;
    expert_ = expert;
    if (!find_rows(first, count, expert)) {
      return;
    }
    Sum sums[row_parts][column_parts][4] = {};
    Sum partial[row_parts][column_parts][4] = {};
    int stage = 1;
    // The first steps only load, so that the text of the copies stands here once.
#pragma unroll 1
    for (int step = 1 - Config::stages; step < steps; ++step) {
      if (step >= 0) {
        wait_for_copies<Config::stages - 2>();
        __syncthreads();
      }
      // The stage that is filled is the one that all threads have finished before the barrier.
      load(step + Config::stages - 1, stage == 0 ? Config::stages - 1 : stage - 1);
      end_copy_group();
      if (step >= 0) {
        add_step(step, stage, partial, sums);
      }
      stage = stage == Config::stages - 1 ? 0 : stage + 1;
    }
    wait_for_copies<0>();
    __syncthreads();
    store(sums);
    // The next tile's copies overwrite the sums and the slots.
    __syncthreads();
  }

 private:
  using A = typename Config::a_dtype;
  using C = typename Config::c_dtype;
  using Activation = typename ActivationOf<activation, Config::limit != 0>::type;
  /// Rows of b between those of neighbouring columns of c.
  static constexpr int row_step = is_gated && Activation::order == GateOrder::interleaved ? 2 : 1;
  /// Type of the factors of the tensor cores. They take fp8 as f16, which gives the same bits on every
  /// device.
  using Factor = typename Choose<sizeof(A) == 1, f16, A>::type;
  using Sum = typename Choose<is_same<A, i8>, int, float>::type;
  static constexpr int element = static_cast<int>(sizeof(A));
  static constexpr int b_element = static_cast<int>(sizeof(typename Config::b_dtype));
  static constexpr ScaleForm form = static_cast<ScaleForm>(Config::scale_form);
  static constexpr int group = scale_group(form);
  /// Bytes of `count` elements of a row of b.
  static constexpr int b_bytes(int count) { return is_packed(form) ? count / 2 : count * element; }
  static constexpr GemmTile tile{Config::tile_m,
                                 Config::tile_n,
                                 Config::tile_k* element,
                                 b_bytes(Config::tile_k),
                                 Config::stages,
                                 Config::warps,
                                 form};
  static constexpr int threads = 32 * Config::warps;
  static constexpr int steps = (Config::k + Config::tile_k - 1) / Config::tile_k;
  /// Products of 8 rows and of 16 columns of a warp.
  static constexpr int row_parts = tile.warp_rows() / 8;
  static constexpr int column_parts = tile.warp_columns() / 16;

  /// The copies of a thread for a stage, of `Rows` rows of an operand: it copies the same 16 bytes of every
  /// at_once-th row.
  template <int Rows, int StageBytes, int RowBytes>
  struct Copies {
    static constexpr int chunks = StageBytes / 16;
    static constexpr int at_once = threads / chunks;
    static constexpr int count = (Rows + at_once - 1) / at_once;

    const unsigned char* from[count];  ///< null for a row that does not exist

    __device__ static int row(int i) { return static_cast<int>(threadIdx.x) / chunks + i * at_once; }
    __device__ static int byte() { return static_cast<int>(threadIdx.x) % chunks * 16; }

    /// Row `row(i)` of the tile starts at base + offset_of(row(i)), unless that is below 0.
    template <class OffsetOf>
    __device__ void find(const void* base, OffsetOf offset_of) {
#pragma unroll
      for (int i = 0; i < count; ++i) {
        const long long offset = row(i) < Rows ? offset_of(row(i)) : -1;
        from[i] = offset < 0 ? nullptr : static_cast<const unsigned char*>(base) + offset + byte();
      }
    }

    /// Starts the copies to shared memory at `to` of the bytes of each row from `first` on. `base` is any
    /// address of the operand.
    __device__ void load(unsigned to, const void* base, int first) const {
      constexpr int piece = Config::alignment;
      const int chunk = static_cast<int>(threadIdx.x) % chunks ^ swizzle<chunks>(row(0));
      to += 16 * static_cast<unsigned>(row(0) * chunks + chunk);
#pragma unroll
      for (int i = 0; i < count; ++i) {
        if (Rows % at_once == 0 || row(i) < Rows) {
#pragma unroll
          for (int part = 0; part < 16; part += piece) {
            const bool inside = from[i] != nullptr && first + byte() + part < RowBytes;
            copy_async<piece>(to + i * at_once * StageBytes + part, inside ? from[i] + first + part : base,
                              inside);
          }
        }
      }
    }
  };

  /// Bits that a row's chunks are moved by, so that those of 8 rows lie in different banks, and so do four
  /// chunks each of two.
  template <int Chunks>
  __device__ static int swizzle(int row) {
    return Chunks >= 8   ? (row & 1) << 2 | (row >> 1 & 3)
           : Chunks == 4 ? row >> 1 & 3
           : Chunks == 2 ? row >> 2 & 1
                         : 0;
  }

  /// The address of chunk `chunk` of row `row` of an operand at `base` in a stage.
  template <int StageBytes>
  __device__ static unsigned chunk_address(unsigned base, int row, int chunk) {
    return base + static_cast<unsigned>(row * StageBytes + (chunk ^ swizzle<StageBytes / 16>(row)) * 16);
  }

  /// The row of the expert's matrix that column `at` of the tile stands for.
  __device__ int row_of_b(int at) const {
    return row_step * (column_ + at % tile_columns) + at / tile_columns * (row_step == 2 ? 1 : columns);
  }

  /// Finds what this thread copies. False if no row has a slot.
  __device__ bool find_rows(int first, int count, int expert) {
    int slot = -1;
    if (static_cast<int>(threadIdx.x) < tile.rows) {
      if (static_cast<int>(threadIdx.x) < count) {
        slot = args_.sorted[first + static_cast<int>(threadIdx.x)];
        slot = static_cast<unsigned>(slot) < static_cast<unsigned>(args_.slots) ? slot : -1;
      }
      slots_[threadIdx.x] = slot;
    }
    if (__syncthreads_or(slot >= 0) == 0) {
      return false;
    }
    a_.find(args_.a, [&](int row) {
      return slots_[row] < 0 ? -1 : slots_[row] / Config::top_k * args_.a_stride * element;
    });
    b_.find(args_.b, [&](int at) {
      return column_ + at % tile_columns >= columns
                 ? -1
                 : (expert * args_.b_expert_stride + row_of_b(at) * args_.b_stride) * b_element;
    });
    return true;
  }

  /// Starts the copies of step `step` into stage `stage`.
  __device__ void load(int step, int stage) {
    if (step >= steps) {
      return;
    }
    const unsigned to = shared_ + static_cast<unsigned>(stage * tile.stage_bytes());
    a_.load(to, args_.a, step * tile.a_row_bytes);
    b_.load(to + tile.rows * tile.a_row_bytes, args_.b, step * tile.b_row_bytes);
    if (form != ScaleForm::rows && step * Config::tile_k % scale_window == 0) {
      if constexpr (form == ScaleForm::blocks) {
        load_block_scales(step * Config::tile_k / group);
      } else if constexpr (is_packed(form)) {
        load_packed_scales(step * Config::tile_k / group);
      }
    }
  }

  /// Blocks of 128 rows of b that a half of the tile may touch, and the first of them.
  static constexpr int halves = is_gated ? 2 : 1;
  static constexpr int blocks_of_half = row_step == 1 && is_gated && columns % tile_columns != 0 ? 2 : 1;
  __device__ int first_block(int half) const { return row_of_b(half * tile_columns) / group; }

  /// Offset of the window that has the scales of group `of` of k: block_scales_stride for each row of a, and
  /// then for each block of b. A window is no longer in use when the one after the next is loaded.
  __device__ static int window_of(int of) {
    return tile.pipeline_bytes() + of * group / scale_window % 2 * tile.window_bytes();
  }

  /// Starts the copies of a window of scales that begins with group `first`.
  __device__ void load_block_scales(int first) {
    constexpr int groups = (Config::k + group - 1) / group;
    constexpr int row_blocks = (Config::n + group - 1) / group;
    const unsigned to = shared_ + static_cast<unsigned>(window_of(first));
    const auto copy = [&](int row, int at, const float* from, bool exists) {
      const bool present = exists && first + at < groups;
      copy_async<4>(to + 4 * static_cast<unsigned>(row * block_scales_stride + at),
                    present ? from : args_.a_scales, present);
    };
    // Neighbouring lanes read neighbouring scales, whether groups or rows are contiguous.
    const bool by_groups = args_.a_scales_group_stride == 1;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < tile.rows * block_scales; i += threads) {
      const int row = by_groups ? i / block_scales : i % tile.rows;
      const int at = by_groups ? i % block_scales : i / tile.rows;
      const int slot = slots_[row];
      copy(row, at,
           args_.a_scales + slot / Config::top_k * args_.a_scales_stride +
               (first + at) * args_.a_scales_group_stride,
           slot >= 0);
    }
    if (static_cast<int>(threadIdx.x) < halves * blocks_of_half * block_scales) {
      const int entry = static_cast<int>(threadIdx.x) / block_scales;
      const int at = static_cast<int>(threadIdx.x) % block_scales;
      const int of = first_block(entry / blocks_of_half) + entry % blocks_of_half;
      copy(tile.rows + entry, at,
           static_cast<const float*>(args_.b_scales) + expert_ * args_.b_scales_expert_stride +
               of * args_.b_scales_stride + (first + at) * args_.b_scales_group_stride,
           of < row_blocks);
    }
  }

  /// Starts the copies of a window of the scales of packed b that begins with group `first`.
  __device__ void load_packed_scales(int first) {
    constexpr int bytes = packed_scale_bytes(form);
    constexpr int scale = bytes / scale_groups;
    constexpr int all_bytes = Config::k / group * scale;
    constexpr int piece = Config::scale_alignment;
    constexpr int count = tile.columns * (bytes / piece);
    const int before = first * group / scale_window * bytes;
    const unsigned char* scales = static_cast<const unsigned char*>(args_.b_scales);
    const auto column_of = [](int i) { return i / (bytes / piece); };
    const auto byte_of = [](int i) { return i % (bytes / piece) * piece; };
    // The bytes of piece i that exist.
    const auto left_of = [&](int i) {
      const int left = all_bytes - before - byte_of(i);
      return i >= count || column_ + column_of(i) % tile_columns >= columns || left < 0 ? 0
             : left < piece                                                             ? left
                                                                                        : piece;
    };
    const auto from_of = [&](int i) {
      return scales +
             (expert_ * args_.b_scales_expert_stride + row_of_b(column_of(i)) * args_.b_scales_stride) *
                 scale +
             (before + byte_of(i));
    };
    const int to = window_of(first);
    if constexpr (piece >= 4) {
#pragma unroll 1
      for (int i = static_cast<int>(threadIdx.x); i < count; i += threads) {
        const int left = left_of(i);
        copy_async_part<piece>(
            shared_ + static_cast<unsigned>(to + column_of(i) * packed_scale_stride(form) + byte_of(i)),
            left > 0 ? from_of(i) : scales, left);
      }
    } else {
      // There are no such copies. Loads in a row wait together.
      constexpr int together = 8;
      using Part = typename VectorType<piece>::type;
#pragma unroll 1
      for (int i = static_cast<int>(threadIdx.x); i < count; i += together * threads) {
        Part parts[together];
#pragma unroll
        for (int j = 0; j < together; ++j) {
          parts[j] = left_of(i + j * threads) > 0 ? *reinterpret_cast<const Part*>(from_of(i + j * threads))
                                                  : Part{};
        }
#pragma unroll
        for (int j = 0; j < together; ++j) {
          const int at = i + j * threads;
          if (at < count) {
            *reinterpret_cast<Part*>(memory_ + to + column_of(at) * packed_scale_stride(form) + byte_of(at)) =
                parts[j];
          }
        }
      }
    }
  }

  /// The scale of group `of` of column `at` of the tile, of packed b.
  __device__ float packed_scale(int of, int at) const {
    const unsigned char* window = memory_ + window_of(of) + at * packed_scale_stride(form);
    if constexpr (form == ScaleForm::mxfp4) {
      return decode_ue8m0(window[of % scale_groups]);
    } else {
      return load_value(reinterpret_cast<const bf16*>(window) + of % scale_groups);
    }
  }
  static constexpr int scale_groups = scale_window / group;

  /// Adds the products of the elements in `stage`, which begins with group `first` of k: those of each group
  /// from 0 on, times its scale. Lane 4 * g + t has elements 8t to 8t + 7 of a group; those that lie four
  /// apart are pairs of both factors.
  __device__ void add_packed_products(int first, int stage, float (&sums)[row_parts][column_parts][4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const unsigned a = static_cast<unsigned>(stage * tile.stage_bytes());
    const unsigned b = a + tile.rows * tile.a_row_bytes;
#pragma unroll 1
    for (int of = 0; of < Config::tile_k / group; ++of) {
      unsigned right[row_parts][4];
#pragma unroll
      for (int i = 0; i < row_parts; ++i) {
        const uint4 eight = *reinterpret_cast<const uint4*>(
            memory_ + chunk_address<tile.a_row_bytes>(a, warp_row() + 8 * i + lane / 4, 4 * of + lane % 4));
        right[i][0] = __byte_perm(eight.x, eight.z, 0x5410);
        right[i][1] = __byte_perm(eight.x, eight.z, 0x7632);
        right[i][2] = __byte_perm(eight.y, eight.w, 0x5410);
        right[i][3] = __byte_perm(eight.y, eight.w, 0x7632);
      }
#pragma unroll
      for (int j = 0; j < column_parts; ++j) {
        unsigned left[2][4];
        float scales[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int at = warp_column() + 16 * j + 8 * half + lane / 4;
          const unsigned word = *reinterpret_cast<const unsigned*>(
              memory_ + chunk_address<tile.b_row_bytes>(b, at, of) + lane % 4 * 4);
          left[0][half] = pair<0>(word);
          left[0][half + 2] = pair<1>(word);
          left[1][half] = pair<2>(word);
          left[1][half + 2] = pair<3>(word);
          scales[half] = packed_scale(first + of, at);
        }
#pragma unroll
        for (int i = 0; i < row_parts; ++i) {
          float part[4] = {};
          multiply_add<Factor>(part, left[0], right[i][0], right[i][1]);
          multiply_add<Factor>(part, left[1], right[i][2], right[i][3]);
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            sums[i][j][e] = fmaf(part[e], scales[e / 2], sums[i][j][e]);
          }
        }
      }
    }
  }

  template <int First>
  __device__ static unsigned pair(unsigned word) {
    return form == ScaleForm::mxfp4 ? e2m1_pair<A, First>(word) : int4_pair<A, First>(word);
  }

  /// Adds the partial sums of group `of`, times the scales of both factors, and clears them.
  __device__ void promote(int of, float (&partial)[row_parts][column_parts][4],
                          float (&sums)[row_parts][column_parts][4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float* window = reinterpret_cast<const float*>(memory_ + window_of(of)) + of % block_scales;
    float of_rows[row_parts][2];
#pragma unroll
    for (int i = 0; i < row_parts; ++i) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        of_rows[i][e] = window[(warp_row() + 8 * i + lane % 4 * 2 + e) * block_scales_stride];
      }
    }
#pragma unroll
    for (int j = 0; j < column_parts; ++j) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = warp_column() + 16 * j + 8 * half + lane / 4;
        const int entry = at / tile_columns * blocks_of_half +
                          (blocks_of_half == 1 ? 0 : row_of_b(at) / group - first_block(at / tile_columns));
        const float of_column = window[(tile.rows + entry) * block_scales_stride];
#pragma unroll
        for (int i = 0; i < row_parts; ++i) {
#pragma unroll
          for (int e = 0; e < 2; ++e) {
            float& part = partial[i][j][2 * half + e];
            sums[i][j][2 * half + e] = fmaf(part, of_rows[i][e] * of_column, sums[i][j][2 * half + e]);
            part = 0.0f;
          }
        }
      }
    }
  }

  /// The first row and the first column of the tile that are this warp's.
  __device__ static int warp_row() {
    return static_cast<int>(threadIdx.x) / 32 / tile.warps_along_columns * tile.warp_rows();
  }
  __device__ static int warp_column() {
    return static_cast<int>(threadIdx.x) / 32 % tile.warps_along_columns * tile.warp_columns();
  }

  /// Adds the products of step `step`, which lie in `stage`. With scales of blocks, `partial` has the sums
  /// since the last promotion.
  __device__ void add_step(int step, int stage, Sum (&partial)[row_parts][column_parts][4],
                           Sum (&sums)[row_parts][column_parts][4]) const {
    if constexpr (form == ScaleForm::blocks) {
      add_products(stage, partial);
      if (Config::tile_k == group || (step + 1) * Config::tile_k % group == 0 || step == steps - 1) {
        promote(step * Config::tile_k / group, partial, sums);
      }
    } else if constexpr (is_packed(form)) {
      add_packed_products(step * Config::tile_k / group, stage, sums);
    } else {
      add_products(stage, sums);
    }
  }

  /// Adds the products of the elements in `stage`.
  __device__ void add_products(int stage, Sum (&sums)[row_parts][column_parts][4]) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int column = warp_column() + lane % 16;
    // With an odd number of parts the last one has two matrices, and lanes from 16 on repeat their addresses.
    const int row = warp_row() + lane % 8;
    const unsigned a = shared_ + static_cast<unsigned>(stage * tile.stage_bytes());
    const unsigned b = a + tile.rows * tile.a_row_bytes;
#pragma unroll
    for (int chunk = 0; chunk < tile.a_row_bytes / 16; chunk += 2) {
      unsigned right[row_parts][2];
#pragma unroll
      for (int i = 0; i + 1 < row_parts; i += 2) {
        const int at = row + 8 * i + lane / 16 * 8;
        unsigned pair[4];
        load_matrices(chunk_address<tile.a_row_bytes>(a, at, chunk + lane / 8 % 2), pair);
        right[i][0] = pair[0];
        right[i][1] = pair[1];
        right[i + 1][0] = pair[2];
        right[i + 1][1] = pair[3];
      }
      if constexpr (row_parts % 2 == 1) {
        const int at = row + 8 * (row_parts - 1);
        load_matrices(chunk_address<tile.a_row_bytes>(a, at, chunk + lane / 8 % 2), right[row_parts - 1]);
      }
#pragma unroll
      for (int j = 0; j < column_parts; ++j) {
        const int at = column + 16 * j;
        unsigned left[4];
        load_matrices(chunk_address<tile.b_row_bytes>(b, at, chunk + lane / 16), left);
#pragma unroll
        for (int i = 0; i < row_parts; ++i) {
          multiply_pair(sums[i][j], left, right[i]);
        }
      }
    }
  }

  /// Adds the products of 32 bytes of each row. Of fp8 a lane holds four neighbours, whose pairs
  /// stand for columns 2t and 2t + 8 of a product, on the left and on the right alike.
  __device__ static void multiply_pair(Sum (&sum)[4], const unsigned (&left)[4], const unsigned (&right)[2]) {
    if constexpr (is_same<A, i8>) {
      multiply_add_bytes(sum, left, right[0], right[1]);
    } else if constexpr (element == 1) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        unsigned rows[4];
        unsigned columns[2];
        fp8_to_halves(left[2 * half], rows[0], rows[2]);
        fp8_to_halves(left[2 * half + 1], rows[1], rows[3]);
        fp8_to_halves(right[half], columns[0], columns[1]);
        multiply_add<Factor>(sum, rows, columns[0], columns[1]);
      }
    } else {
      multiply_add<Factor>(sum, left, right[0], right[1]);
    }
  }

  /// Writes the tile by way of shared memory, a row of c at a time.
  __device__ void store(const Sum (&sums)[row_parts][column_parts][4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float* all = reinterpret_cast<float*>(memory_);
    float* own = all + (warp_row() + lane % 4 * 2) * tile.sums_stride() + warp_column() + lane / 4;
#pragma unroll
    for (int i = 0; i < row_parts; ++i) {
#pragma unroll
      for (int j = 0; j < column_parts; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          own[(8 * i + e % 2) * tile.sums_stride() + 16 * j + e / 2 * 8] = static_cast<float>(sums[i][j][e]);
        }
      }
    }
    __syncthreads();
    // More columns at once would make the text longer, and no access fewer that counts.
    constexpr int most = 4;
    constexpr int width = Config::alignment / element < most ? Config::alignment / element : most;
    constexpr int parts = tile_columns / width;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < tile.rows * parts; i += threads) {
      const int row = i / parts;
      const int at = i % parts * width;
      const int slot = slots_[row];
      if (slot >= 0 && column_ + at < columns) {
        store_part<width>(slot, at, all + row * tile.sums_stride() + at);
      }
    }
  }

  template <int Width>
  __device__ static void load_sums(const float* sums, float (&values)[Width]) {
    if constexpr (Width % 4 == 0) {
#pragma unroll
      for (int i = 0; i < Width; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(sums + i);
        values[i] = four.x;
        values[i + 1] = four.y;
        values[i + 2] = four.z;
        values[i + 3] = four.w;
      }
    } else {
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        values[i] = sums[i];
      }
    }
  }

  /// The products of a slot from column `at` of the tile on, times the scales of both factors, plus the bias.
  template <int Width>
  __device__ void finish_sums(int slot, int at, const float* sums, float (&values)[Width]) const {
    load_sums<Width>(sums, values);
    const int first = row_of_b(at);
    if constexpr (Config::has_scales && form == ScaleForm::rows) {
      const float of_row = args_.a_scales[slot / Config::top_k * args_.a_scales_stride];
      const float* of_columns = static_cast<const float*>(args_.b_scales) +
                                expert_ * args_.b_scales_expert_stride + first * args_.b_scales_stride;
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        values[i] *= of_row * of_columns[i * row_step * args_.b_scales_stride];
      }
    }
    if constexpr (static_cast<GemmBias>(Config::bias) != GemmBias::none) {
      using Bias = typename BiasOf<static_cast<GemmBias>(Config::bias)>::type;
      const Bias* of_columns =
          static_cast<const Bias*>(args_.bias) + expert_ * args_.bias_expert_stride + first;
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        values[i] += load_value(of_columns + i * row_step);
      }
    }
  }

  template <int Width>
  __device__ void store_part(int slot, int at, const float* sums) {
    float values[Width];
    finish_sums<Width>(slot, at, sums, values);
    if constexpr (is_gated) {
      float ups[Width];
      finish_sums<Width>(slot, at + tile_columns, sums + tile_columns, ups);
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        values[i] = gated<Activation, float, C>(values[i], ups[i], {args_.limit, args_.alpha});
      }
    }
    if constexpr (Config::has_weights) {
      const float weight = args_.weights[slot];
#pragma unroll
      for (int i = 0; i < Width; ++i) {
        values[i] *= weight;
      }
    }
    store_values<C, Width>(static_cast<C*>(args_.c) + slot * args_.c_stride + column_ + at, values);
  }

  const GroupedGemmKernelArgs& args_;
  unsigned char* memory_;
  unsigned shared_;
  int* slots_;  ///< of each row, or -1
  int column_;
  int expert_;
  Copies<tile.rows, tile.a_row_bytes, Config::k * element> a_;
  Copies<tile.columns, tile.b_row_bytes, b_bytes(Config::k)> b_;
};

/// Blocks that a multiprocessor must have registers for. Told of one, ptxas takes what it needs; else it
/// spills a little for two where it comes near, as here with packed factors and many rows, and on sm_75. 0:
/// not told.
template <class Config>
inline constexpr int least_blocks =
#if __CUDA_ARCH__ >= 800
    is_packed(static_cast<ScaleForm>(Config::scale_form)) && Config::tile_m >= 64 ? 1 : 0;
#else
    1;
#endif

/// The blocks take turns with the tiles. tiles_together tiles along the rows come one after the other for the
/// same columns, so that those of one expert share its part of b in the L2 cache.
template <class Config>
__global__ void __launch_bounds__(Config::warps * 32, least_blocks<Config>)
    grouped_gemm_kernel(const GroupedGemmKernelArgs args) {
  begin_kernel();
  using Gemm = GroupedGemm<Config>;
  Gemm gemm(args);
  const int total = *args.total < args.places ? *args.total : args.places;
  const int row_tiles = (total + Config::block - 1) / Config::block * Gemm::tiles_per_block;
  constexpr int together = Config::tiles_together;
  const long long tiles = static_cast<long long>(row_tiles) * Gemm::column_tiles;
  const long long blocks = static_cast<long long>(gridDim.x) * gridDim.y;
#pragma unroll 1
  for (long long i = static_cast<long long>(blockIdx.y) * gridDim.x + blockIdx.x; i < tiles; i += blocks) {
    const int group = static_cast<int>(i / (static_cast<long long>(together) * Gemm::column_tiles));
    const int at = static_cast<int>(i - static_cast<long long>(group) * together * Gemm::column_tiles);
    const int first = group * together;
    const int size = row_tiles - first < together ? row_tiles - first : together;
    const int row_tile = first + at % size;
    const int block = row_tile / Gemm::tiles_per_block;
    const int expert = args.expert[block];
    if (static_cast<unsigned>(expert) >= static_cast<unsigned>(Config::experts)) {
      continue;
    }
    const int row = row_tile % Gemm::tiles_per_block * Config::tile_m;
    const int left = Config::block - row;
    gemm.multiply(block * Config::block + row, left < Config::tile_m ? left : Config::tile_m, expert,
                  at / size * Gemm::tile_columns);
  }
}

}  // namespace kerncast::moe
