#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/float_lanes.hpp"
#include "runtime/simulator/exec/lanes.hpp"

// Pairs in one register: two 32-bit floats, two 16-bit integers, four bytes.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr unsigned pairs = 2 * lane_count;

/// Sets the lanes of `mask` in the destination from elements 2i and 2i+1 of `fresh`.
template <class Whole, class Part>
KC_INLINE void finish(Warp& w, const Op* op, u32 mask, const Part* fresh) {
  alignas(64) Whole packed[lane_count];
  __builtin_memcpy(packed, fresh, sizeof(packed));
  lanes(dst<Whole>(w, op->d), mask, [&](unsigned i) { return packed[i]; });
}

template <Code C>
KC_INLINE float combine(float x, float y, float z) {
  if constexpr (C == Code::add) {
    return x + y;
  } else if constexpr (C == Code::sub) {
    return x - y;
  } else if constexpr (C == Code::mul) {
    return x * y;
  } else {
    return fused(x, y, z);
  }
}

/// The result with .ftz, from flushed operands.
template <Code C>
KC_INLINE float combine_flushed(float x, float y, float z) {
  const float result = combine<C>(x, y, z);
  if constexpr (C == Code::mul || C == Code::fma) {
    return flush_result(result, combine<C>(x * 0x1p32F, y, z * 0x1p32F));
  } else {
    return flush(result);
  }
}

template <Code C>
KC_INLINE void run_floats(Warp& w, const Op* op, u32 mask) {
  const float* a = src<float>(w, op->a);
  const float* b = src<float>(w, op->b);
  const float* c = C == Code::fma ? src<float>(w, op->c) : b;
  const bool ftz = (op->flags & flag::ftz) != 0;
  alignas(64) float fresh[pairs];
  for (unsigned i = 0; i < pairs; ++i) {
    fresh[i] = canonical(ftz ? combine_flushed<C>(flush(a[i]), flush(b[i]), flush(c[i]))
                             : combine<C>(a[i], b[i], c[i]));
  }
  finish<u64>(w, op, mask, fresh);
}

template <Code C>
const Op* floats(Warp& w, const Op* op, u32 mask) {
  run_floats<C>(w, op, mask);
  return op + 1;
}

/// Directed roundings. Not inlined, so that no operation moves across the switch of the rounding mode.
template <Code C>
__attribute__((noinline)) const Op* directed(Warp& w, const Op* op, u32 mask) {
  const HostRounding rounding(op->rounding);
#if !defined(__FMA__)
  if constexpr (C == Code::fma) {
    // The library's fused operation honours the rounding mode; the builtin assumes rounding to nearest.
    const float* a = src<float>(w, op->a);
    const float* b = src<float>(w, op->b);
    const float* c = src<float>(w, op->c);
    const bool ftz = (op->flags & flag::ftz) != 0;
    alignas(64) float fresh[pairs];
    for (unsigned i = 0; i < pairs; ++i) {
      const float x = ftz ? flush(a[i]) : a[i];
      const float y = ftz ? flush(b[i]) : b[i];
      const float z = ftz ? flush(c[i]) : c[i];
      const float sum = __builtin_fmaf(x, y, z);
      fresh[i] = canonical(ftz ? flush_result(sum, __builtin_fmaf(x * 0x1p32F, y, z * 0x1p32F)) : sum);
    }
    finish<u64>(w, op, mask, fresh);
    return op + 1;
  }
#endif
  run_floats<C>(w, op, mask);
  return op + 1;
}

template <Code C>
Handler pick(const Op& op) {
  return op.rounding == Rounding::none || op.rounding == Rounding::rn ? floats<C> : directed<C>;
}

template <class T, Code C>
const Op* integers(Warp& w, const Op* op, u32 mask) {
  const T* a = src<T>(w, op->a);
  const T* b = src<T>(w, op->b);
  const bool relu = (op->flags & flag::relu) != 0;
  alignas(64) T fresh[pairs];
  for (unsigned i = 0; i < pairs; ++i) {
    const T x = a[i];
    const T y = b[i];
    T result = C == Code::add ? static_cast<T>(x + y) : (C == Code::min ? x < y : x > y) ? x : y;
    result = relu && result < T{0} ? T{0} : result;
    fresh[i] = result;
  }
  finish<u32>(w, op, mask, fresh);
  return op + 1;
}

template <class T>
Handler pick_integers(const Op& op) {
  switch (op.code) {
    case Code::add:
      return integers<T, Code::add>;
    case Code::min:
      return integers<T, Code::min>;
    case Code::max:
      return integers<T, Code::max>;
    default:
      return nullptr;
  }
}

/// The absolute differences of four bytes; with .add their sum plus c.
const Op* byte_differences(Warp& w, const Op* op, u32 mask) {
  const u32* a = src<u32>(w, op->a);
  const u32* b = src<u32>(w, op->b);
  const u32* c = src<u32>(w, op->c);
  const bool adds = op->sub != 0;
  lanes(dst<u32>(w, op->d), mask, [&](unsigned i) {
    u32 packed = 0;
    u32 sum = c[i];
    for (unsigned shift = 0; shift < 32; shift += 8) {
      const u32 x = a[i] >> shift & 0xffU;
      const u32 y = b[i] >> shift & 0xffU;
      const u32 apart = x > y ? x - y : y - x;
      packed |= apart << shift;
      sum += apart;
    }
    return adds ? sum : packed;
  });
  return op + 1;
}

}  // namespace

Handler select_pairs(const Op& op) {
  if (op.code == Code::vabsdiff4) {
    return byte_differences;
  }
  if (op.type == Type::u16x2) {
    return pick_integers<u16>(op);
  }
  if (op.type == Type::s16x2) {
    return pick_integers<s16>(op);
  }
  if (op.type != Type::f32x2) {
    return nullptr;
  }
  switch (op.code) {
    case Code::add:
      return pick<Code::add>(op);
    case Code::sub:
      return pick<Code::sub>(op);
    case Code::mul:
      return pick<Code::mul>(op);
    case Code::fma:
      return pick<Code::fma>(op);
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
