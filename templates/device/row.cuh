#pragma once

#include "device/index.cuh"
#include "device/row_sum.cuh"
#include "device/vec.cuh"

/// Rows of Config::hidden elements. Config::threads / Config::rows_per_block threads, a power of two or a
/// number of whole warps, share a row and walk over it several times.
namespace kerncast {

template <class Config>
inline constexpr int row_lanes = Config::threads / Config::rows_per_block;

/// The row of this thread. In the last block it may be past the last row.
template <class Config>
__device__ __forceinline__ long long row_of_thread() {
  if constexpr (Config::rows_per_block == 1) {
    return linear_block();
  } else {
    return linear_block() * Config::rows_per_block + threadIdx.x / row_lanes<Config>;
  }
}

/// True if no thread of the block has a row, so that the block may end.
template <class Config>
__device__ __forceinline__ bool past_rows(long long row, long long rows) {
  return Config::rows_per_block == 1 && row >= rows;
}

/// True if this thread has a row, in a block that is not past the rows.
template <class Config>
__device__ __forceinline__ bool has_row(long long row, long long rows) {
  return Config::rows_per_block == 1 || row < rows;
}

/// Bytes of the widest type.
template <class T, class... Others>
inline constexpr int widest = widest<Others...> > static_cast<int>(sizeof(T)) ? widest<Others...>
                                                                              : static_cast<int>(sizeof(T));
template <class T>
inline constexpr int widest<T> = static_cast<int>(sizeof(T));

/// Elements of a span of row_sum.cuh: as many as 16 bytes hold of the widest type, which is the most that a
/// thread takes of such tensors at once.
template <class... Ts>
inline constexpr int span_of = 16 / widest<Ts...>;

/// A row of one tensor, in vectors of `Bytes` bytes: the simplest source of a RowWalk. `Others` are the types
/// of tensors that narrow the vectors.
template <class X, int Bytes, class... Others>
struct RowVectors {
  using Loaded = typename VectorType<Bytes>::type;
  static constexpr int width = Bytes / static_cast<int>(sizeof(X));
  static constexpr int registers = width;
  static constexpr int span = span_of<X, Others...>;
  struct Part {
    float values[width];
  };

  const X* x;

  __device__ __forceinline__ Loaded load(int column) const {
    return *reinterpret_cast<const Loaded*>(x + column);
  }
  __device__ __forceinline__ static Part part_of(const Loaded& loaded) {
    Part part;
    unpack<X>(loaded, part.values);
    return part;
  }
};

/// Walks over a row. `Source` loads the row in parts of `width` elements, which take `registers` registers;
/// part_of() makes a part with its `values` of what load() gives. `span` is the number of elements of the
/// spans that sums consist of, and independent of how the tensors are aligned. A row that fits stays in
/// registers between the walks, else each walk loads it again. A thread has the same parts in every walk but
/// those that sum, so the last walk may overwrite the row.
template <class Config, class Source>
class RowWalk {
 public:
  using Part = typename Source::Part;
  using Loaded = typename Source::Loaded;
  static constexpr int lanes = row_lanes<Config>;
  static constexpr int parts = Config::hidden / Source::width;
  static constexpr int per_lane = (parts + lanes - 1) / lanes;
  static constexpr bool held = per_lane * Source::registers <= 32;
  static constexpr int span = Source::span;
  static_assert(span % Source::width == 0, "a span is a whole number of parts");
  static_assert(Source::width >= 1 && Config::hidden % Source::width == 0,
                "a row is a whole number of parts");

  __device__ __forceinline__ RowWalk(const Source& source, bool active) : source_(source), active_(active) {
    if constexpr (held) {
      Loaded loaded[per_lane];
#pragma unroll
      for (int i = 0; i < per_lane; ++i) {
        loaded[i] = fetch(i);
      }
#pragma unroll
      for (int i = 0; i < per_lane; ++i) {
        held_[i] = Source::part_of(loaded[i]);
      }
    }
  }

  /// True if this thread has no part of any row.
  __device__ __forceinline__ static bool idle() { return per_lane == 1 && column(0) >= Config::hidden; }

  /// Calls visit(part, column of its first element, whether the row has the part). All threads call it
  /// equally often.
  template <int Unrolled, class Visit>
  __device__ __forceinline__ void each(const Visit& visit) const {
#pragma unroll(held ? per_lane : Unrolled)
    for (int i = 0; i < per_lane; ++i) {
      visit(part(i), column(i), has(i));
    }
  }

  /// Calls add(total, part, column of its first element, whether the row has the part) for each part and
  /// returns the total over the row, which must not depend on the order. Each reduction of a kernel needs its
  /// own `Number`.
  template <class Total, int Number = 0, class Add>
  __device__ __forceinline__ Total reduce(const Add& add) const {
    Total total;
#pragma unroll(held ? per_lane : Source::width < 8 ? 2 : 1)
    for (int i = 0; i < per_lane; ++i) {
      add(total, part(i), column(i), has(i));
    }
    return reduce_threads<lanes, Config::threads, Number>(total);
  }

  /// The sum over the row in the order of row_sum.cuh. term(values, count) gives the total of a span, of
  /// which the row has `count` elements; the others are zeros.
  template <class Total, int Number = 0, class Term>
  __device__ __forceinline__ Total sum(const Term& term) const {
    constexpr bool from_registers = held && span == Source::width;
    if constexpr (power_of_two_from(lanes) != lanes) {
      return sum_of_warps<lanes, Config::threads, spans, from_registers, Number, Total>(
          [&](int i) { return span_total<from_registers>(i, term); });
    } else if constexpr (from_registers && lanes >= 32 && spans <= 32 * virtual_warps) {
      // It gives the sum of WarpSum for most rows in fewer steps, which shortens the compile.
      constexpr int count = power_of_two_from(per_lane);
      constexpr int last = per_lane - 1;
      // Warps that have no last span leave it out, and the sum within the warp if it is the only one.
      const bool full = spans > per_lane * lanes - 32 || (lane() & ~31) + last * lanes < spans;
      Total total;
      if (per_lane > 1 || full) {
        Total totals[count];
#pragma unroll
        for (int i = 0; i < last; ++i) {
          totals[i] = term(held_[i].values, elements(i));
        }
        if (per_lane == 1 || full) {
          totals[last] = term(held_[last].values, elements(last));
        }
        total = reduce_values<count, 32>(totals);
      }
      return reduce_warps<lanes, Config::threads, Number>(total);
    } else {
      return reduce_warps<lanes, Config::threads, Number>(
          WarpSum<lanes, spans, from_registers>::template of<Total>(
              [&](int i) { return span_total<from_registers>(i, term); }));
    }
  }

  /// True if `mine` holds for a row of this warp, or of this block if its rows have several warps: then all
  /// these threads can sum again. `mine` must be the same for all threads of a row.
  __device__ __forceinline__ static bool any(bool mine) {
    if constexpr (lanes <= 32) {
      return __any_sync(0xffffffffu, mine);
    } else if constexpr (Config::rows_per_block == 1) {
      return mine;
    } else {
      return __syncthreads_or(mine);
    }
  }

  /// Comes between two sums of the same `Number`.
  __device__ __forceinline__ static void settle() {
    if constexpr (lanes > 32) {
      __syncthreads();
    }
  }

  /// Calls change(part, column of its first element) for the parts that the row has. Later walks see the
  /// changed parts.
  template <class Change>
  __device__ __forceinline__ void change(const Change& change) {
    static_assert(held, "a row that is loaded again cannot be changed");
#pragma unroll
    for (int i = 0; i < per_lane; ++i) {
      if (has(i)) {
        change(held_[i], column(i));
      }
    }
  }

 private:
  static constexpr int spans = (Config::hidden + span - 1) / span;

  __device__ __forceinline__ static int lane() {
    // The compiler does not know how many threads a block has.
    return static_cast<int>(Config::rows_per_block == 1 ? threadIdx.x : threadIdx.x % unsigned{lanes});
  }
  __device__ __forceinline__ static int column(int i) { return (lane() + i * lanes) * Source::width; }
  __device__ __forceinline__ bool has(int i) const {
    return active_ && ((i + 1) * lanes <= parts || column(i) < Config::hidden);
  }
  __device__ __forceinline__ Loaded fetch(int i) const { return has(i) ? source_.load(column(i)) : Loaded{}; }
  __device__ __forceinline__ Part part(int i) const {
    if constexpr (held) {
      return held_[i];
    } else {
      return Source::part_of(fetch(i));
    }
  }

  /// Number of elements of span i of this thread. A row that is not there counts as zeros, and nothing comes
  /// of it.
  __device__ __forceinline__ static int elements(int i) {
    const int first = (lane() + i * lanes) * span;
    const bool whole = (i + 1) * lanes * span <= Config::hidden || first + span <= Config::hidden;
    return whole ? span : Config::hidden % span == 0 ? 0 : max(Config::hidden - first, 0);
  }

  /// The total of span i of this thread.
  template <bool Held, class Term>
  __device__ __forceinline__ auto span_total(int i, const Term& term) const {
    const int count = elements(i);
    if constexpr (Held) {
      return term(held_[i].values, count);
    } else if constexpr (span == Source::width) {
      return term(Source::part_of(count > 0 && active_ ? source_.load(column(i)) : Loaded{}).values, count);
    } else {
      const int first = (lane() + i * lanes) * span;
      float values[span];
#pragma unroll
      for (int j = 0; j < span; j += Source::width) {
        const Part part = Source::part_of(active_ && j < count ? source_.load(first + j) : Loaded{});
#pragma unroll
        for (int k = 0; k < Source::width; ++k) {
          values[j + k] = part.values[k];
        }
      }
      return term(values, count);
    }
  }

  Source source_;
  bool active_;
  Part held_[held ? per_lane : 1];
};

}  // namespace kerncast
