#pragma once

#include "device/index.cuh"
#include "device/reduce.cuh"
#include "device/vec.cuh"

/// Rows of Config::hidden elements. Config::threads / Config::rows_per_block threads share a row and walk
/// over it several times.
namespace kerncast {

template <class Config>
inline constexpr int row_lanes = Config::threads / Config::rows_per_block;

/// The row of this thread. In the last block it may be past the last row.
template <class Config>
__device__ __forceinline__ long long row_of_thread() {
  return linear_block() * Config::rows_per_block + threadIdx.x / row_lanes<Config>;
}

/// A row of one tensor, in vectors of `Bytes` bytes: the simplest source of a RowWalk.
template <class X, int Bytes>
struct RowVectors {
  using Part = typename VectorType<Bytes>::type;
  static constexpr int width = Bytes / static_cast<int>(sizeof(X));
  static constexpr int registers = width;

  const X* x;

  __device__ __forceinline__ Part load(int column) const {
    return *reinterpret_cast<const Part*>(x + column);
  }
};

/// Walks over a row. `Source` loads the row in parts of `width` elements, which take `registers` registers
/// once unpacked. A row that fits stays in registers between the walks, else each walk loads it again. A
/// thread has the same parts in every walk, so the last walk may overwrite the row.
template <class Config, class Source>
class RowWalk {
 public:
  using Part = typename Source::Part;
  static constexpr int lanes = row_lanes<Config>;
  static constexpr int parts = Config::hidden / Source::width;
  static constexpr int per_lane = (parts + lanes - 1) / lanes;
  static constexpr bool held = per_lane * Source::registers <= 32;
  static_assert(Source::width >= 1 && Config::hidden % Source::width == 0,
                "a row is a whole number of parts");

  __device__ __forceinline__ RowWalk(const Source& source, bool active) : source_(source), active_(active) {
    if constexpr (held) {
#pragma unroll
      for (int i = 0; i < per_lane; ++i) {
        held_[i] = fetch(i);
      }
    }
  }

  /// Calls visit(part, column of its first element, whether the row has the part). All threads call it
  /// equally often.
  template <int Unrolled, class Visit>
  __device__ __forceinline__ void each(const Visit& visit) const {
#pragma unroll(held ? per_lane : Unrolled)
    for (int i = 0; i < per_lane; ++i) {
      visit(held ? held_[held ? i : 0] : fetch(i), column(i), has(i));
    }
  }

  /// Calls add(total, part, column of its first element, whether the row has the part) for each part and
  /// returns the total over the row. Each reduction of a kernel needs its own `Number`.
  template <class Total, int Number = 0, class Add>
  __device__ __forceinline__ Total reduce(const Add& add) const {
    Total total;
#pragma unroll(held ? per_lane : Source::width < 8 ? 2 : 1)
    for (int i = 0; i < per_lane; ++i) {
      add(total, held ? held_[held ? i : 0] : fetch(i), column(i), has(i));
    }
    return reduce_threads<lanes, Config::threads, Number>(total);
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
  __device__ __forceinline__ static int column(int i) {
    return (static_cast<int>(threadIdx.x) % lanes + i * lanes) * Source::width;
  }
  __device__ __forceinline__ bool has(int i) const { return active_ && column(i) < Config::hidden; }
  __device__ __forceinline__ Part fetch(int i) const { return has(i) ? source_.load(column(i)) : Part{}; }

  Source source_;
  bool active_;
  Part held_[held ? per_lane : 1];
};

}  // namespace kerncast
