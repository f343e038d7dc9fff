#pragma once

#include "device/reduce.cuh"

/// Sums over a row in an order that the launch does not change. A row consists of spans of a fixed number of
/// elements. Span s belongs to lane s % 32 of virtual warp s / 32 % virtual_warps. A lane adds its spans in
/// ascending order. Then, within each virtual warp, lane l takes over lane l + d for d = 16, 8, 4, 2, 1; and
/// last, virtual warp w takes over virtual warp w + d for d = virtual_warps / 2 and so on down to 1.
///
/// A row's `Lanes` threads, a power of two, stand for the virtual lanes that equal their number modulo
/// `Lanes`. If `Lanes` is a number of warps that is no power of two, a row has one span for each virtual lane
/// at most, since the warps would have to add up each other's spans otherwise.
namespace kerncast {

inline constexpr int virtual_warps = 32;

/// The sum of each of `Count` values over `Lanes` lanes, then of these sums, those farthest apart first. Each
/// exchange halves what a lane has to carry further.
template <int Count, int Lanes, class Total>
__device__ __forceinline__ Total reduce_values(Total* values) {
  if constexpr (Count == 1) {
    return reduce_lanes<Lanes>(values[0]);
  } else if constexpr (Lanes == 1) {
#pragma unroll
    for (int i = 0; i < Count / 2; ++i) {
      values[i].merge(values[i + Count / 2]);
    }
    return reduce_values<Count / 2, 1>(values);
  } else {
    constexpr int mask = Lanes / 2;
    const bool upper = (threadIdx.x & mask) != 0;
#pragma unroll
    for (int i = 0; i < Count / 2; ++i) {
      const Total given = upper ? values[2 * i] : values[2 * i + 1];
      Total kept = upper ? values[2 * i + 1] : values[2 * i];
      kept.merge(given.from_lane(mask));
      values[i] = kept;
    }
    Total total = reduce_values<Count / 2, mask>(values);
    total.merge(total.from_lane(mask));
    return total;
  }
}

/// The part of that order that lies within a warp, for a row of `Spans` spans that `Lanes` threads share. A
/// thread's spans are those whose number equals its own modulo `Lanes`, counted from 0.
template <int Lanes, int Spans, bool Unrolled>
struct WarpSum {
  static constexpr int lanes = Lanes < 32 ? Lanes : 32;
  /// Lanes of a virtual warp that a thread stands for.
  static constexpr int shares = 32 / lanes;
  /// Distance of the virtual warps that a thread takes part in.
  static constexpr int step = Lanes < 32 ? 1 : Lanes / 32;
  static constexpr int own_warps = virtual_warps / step;
  static constexpr int rounds = (Spans + 32 * virtual_warps - 1) / (32 * virtual_warps);
  static constexpr int all_warps = (Spans + 31) / 32;
  static constexpr int used = ((all_warps < virtual_warps ? all_warps : virtual_warps) + step - 1) / step;
  /// Totals that are merged without a loop.
  static constexpr int at_once = Unrolled ? 32 : 4;

  /// `span(i)` is the total of the thread's span i, or a total of nothing if the row has no such span.
  template <class Total, class Span>
  __device__ __forceinline__ static Total of(const Span& span) {
    return warps<Total, 1>(0, span);
  }

 private:
  /// True if some thread has a span i.
  __device__ __forceinline__ static constexpr bool exists(int i) { return i * Lanes < Spans; }

  /// Span i of the thread and those a whole round of virtual warps further on.
  template <class Total, class Span>
  __device__ __forceinline__ static Total chain(int i, const Span& span) {
    constexpr bool rolled = !Unrolled && rounds > 1;
    // Adding to a zero changes no bit.
    Total total = rolled ? Total{} : span(i);
#pragma unroll(rolled ? 1 : rounds)
    for (int round = rolled ? 0 : 1; round < rounds; ++round) {
      if (exists(i + round * own_warps * shares)) {
        total.merge(span(i + round * own_warps * shares));
      }
    }
    return total;
  }

  /// The thread's spans i, i + Distance, i + 2 * Distance and so on of a virtual warp.
  template <class Total, int Distance, class Span>
  __device__ __forceinline__ static Total places(int i, const Span& span) {
    if constexpr (Distance >= shares) {
      return chain<Total>(i, span);
    } else if constexpr (shares / Distance <= at_once) {
      Total total = places<Total, 2 * Distance>(i, span);
      if (exists(i + Distance)) {
        total.merge(places<Total, 2 * Distance>(i + Distance, span));
      }
      return total;
    } else {
      Total total;
#pragma unroll 1
      for (int j = i; j <= i + Distance && exists(j); j += Distance) {
        total.merge(places<Total, 2 * Distance>(j, span));
      }
      return total;
    }
  }

  /// The thread's virtual warps i, i + Distance, i + 2 * Distance and so on.
  template <class Total, int Distance, class Span>
  __device__ __forceinline__ static Total warps(int i, const Span& span) {
    constexpr int count = power_of_two_from((used + Distance - 1) / Distance);
    if constexpr (count <= at_once) {
      Total values[count];
#pragma unroll
      for (int j = 0; j < count; ++j) {
        if (i + j * Distance < used) {
          values[j] = places<Total, 1>((i + j * Distance) * shares, span);
        }
      }
      return reduce_values<count, lanes>(values);
    } else {
      // Adding to a zero changes no bit.
      Total total;
#pragma unroll 1
      for (int j = i; j <= i + Distance; j += Distance) {
        total.merge(warps<Total, 2 * Distance>(j, span));
      }
      return total;
    }
  }
};

/// The sums of `Count` values over the 32 lanes of a warp, those farthest apart first: lane l has the sum of
/// value l / (32 / Count). Each exchange halves what a lane has to carry further.
template <int Count, int Lanes = 32>
__device__ __forceinline__ float sums_apart(float* values) {
  constexpr int mask = Lanes / 2;
  if constexpr (Lanes == 1) {
    return values[0];
  } else if constexpr (Count == 1) {
    values[0] += exchange(values[0], mask);
    return sums_apart<1, mask>(values);
  } else {
    const bool upper = (threadIdx.x & mask) != 0;
#pragma unroll
    for (int i = 0; i < Count / 2; ++i) {
      const float given = upper ? values[i] : values[i + Count / 2];
      values[i] = (upper ? values[i + Count / 2] : values[i]) + exchange(given, mask);
    }
    return sums_apart<Count / 2, mask>(values);
  }
}

/// Floats that a total consists of, 1 or 2, if it is merged by adding each of them; else 0.
template <class Total>
inline constexpr int floats_of = 0;
template <>
inline constexpr int floats_of<Sum> = 1;

/// The whole sum of a row of `Spans` spans that `Lanes` threads of a block of `Threads` share, a number of
/// warps that is no power of two. The virtual warps meet in shared memory. `span(i)` is that of WarpSum::of;
/// a span in registers needs an `Unrolled` loop. See reduce_warps() for `Number` and for who takes part.
template <int Lanes, int Threads, int Spans, bool Unrolled, int Number, class Total, class Span>
__device__ __forceinline__ Total sum_of_warps(const Span& span) {
  static_assert(Lanes % 32 == 0 && Spans <= 32 * virtual_warps, "each span is a virtual lane's only one");
  constexpr int warps = Lanes / 32;
  constexpr int used = (Spans + 31) / 32;
  constexpr int turns = (used + warps - 1) / warps;
  constexpr int padded = power_of_two_from(turns);
  constexpr int floats = floats_of<Total>;
  constexpr int places = power_of_two_from(used);
  constexpr int count = padded * floats;
  constexpr bool apart = Unrolled && count > 1 && places * floats <= 32;
  constexpr int row_places = apart ? padded * warps : virtual_warps;
  __shared__ double scratch[(Threads / Lanes * row_places * sizeof(Total) + 7) / 8];
  Total* const totals =
      reinterpret_cast<Total*>(scratch) + (Lanes == Threads ? 0 : threadIdx.x / Lanes * row_places);
  const int lane = threadIdx.x % 32;
  const int warp = static_cast<int>((Lanes == Threads ? threadIdx.x : threadIdx.x % Lanes) / 32);
  if constexpr (apart) {
    // Shared memory holds the floats of one kind after those of another. Adding to a zero changes no bit.
    float values[count] = {};
#pragma unroll
    for (int i = 0; i < turns; ++i) {
      const Total total = span(i);
#pragma unroll
      for (int j = 0; j < floats; ++j) {
        values[j * padded + i] = reinterpret_cast<const float*>(&total)[j];
      }
    }
    float* const sums = reinterpret_cast<float*>(totals);
    const float sum = sums_apart<count>(values);
    if (lane % (32 / count) == 0) {
      sums[lane / (32 / count) * warps + warp] = sum;
    }
    __syncthreads();
    float own = 0.0f;
    if (places == used || lane % places < used) {
      own = sums[floats > 1 ? lane / places % floats * row_places + lane % places : lane % places];
    }
    own = reduce_lanes<places>(Sum{own}).value;
    Total total;
#pragma unroll
    for (int j = 0; j < floats; ++j) {
      reinterpret_cast<float*>(&total)[j] = own;
    }
    if constexpr (floats == 2) {
      const float other = exchange(own, places);
      const bool second = (lane & places) != 0;
      reinterpret_cast<float*>(&total)[0] = second ? other : own;
      reinterpret_cast<float*>(&total)[1] = second ? own : other;
    }
    return total;
  } else {
#pragma unroll(Unrolled ? turns : 1)
    for (int i = 0; i < turns; ++i) {
      const Total total = reduce_lanes<32>(span(i));
      if (lane == 0 && (used % warps == 0 || warp + i * warps < used)) {
        totals[warp + i * warps] = total;
      }
    }
    __syncthreads();
    Total total;
    if (places == used || lane % places < used) {
      total = totals[lane % places];
    }
    return reduce_lanes<places>(total);
  }
}

}  // namespace kerncast
