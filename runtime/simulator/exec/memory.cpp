#include <type_traits>

#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/lanes.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

template <class T>
KC_INLINE T load_from(const std::byte* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof(T));
  return value;
}

template <class T>
KC_INLINE void store_to(std::byte* p, T value) {
  __builtin_memcpy(p, &value, sizeof(T));
}

/// An element of memory of type T in a register of type R; N per lane.
template <class T, class R, unsigned N>
const Op* load(Warp& w, const Op* op, u32 mask) {
  Access access;
  if (!resolve(w, op, mask, sizeof(T) * N, access)) {
    return raise_access(w, op, access.fault);
  }
  if (!watched(w, op, access, WarpAccess::Kind::read, mask, sizeof(T) * N)) {
    return nullptr;
  }
  const u32 single[1] = {op->d};
  const u32* list = N == 1 ? single : w.lists + op->d2;
  if (access.kind == Access::Kind::contiguous) {
    for (unsigned k = 0; k < N; ++k) {
      R* d = dst<R>(w, list[k]);
      const std::byte* p = access.first + k * sizeof(T);
      KC_LANES {
        d[i] = static_cast<R>(load_from<T>(p + i * (sizeof(T) * N)));
      }
    }
    return op + 1;
  }
  if (access.kind == Access::Kind::uniform) {
    T value[N];
    __builtin_memcpy(value, access.first, sizeof(value));
    for (unsigned k = 0; k < N; ++k) {
      const R wide = static_cast<R>(value[k]);
      lanes(dst<R>(w, list[k]), mask, [&](unsigned) { return wide; });
    }
    return op + 1;
  }
  for (unsigned k = 0; k < N; ++k) {
    R* d = dst<R>(w, list[k]);
    if (mask == all_lanes) {
      for (unsigned i = 0; i < lane_count; ++i) {
        d[i] = static_cast<R>(load_from<T>(access.at(i) + k * sizeof(T)));
      }
    } else {
      each(d, mask, [&](unsigned i) { return static_cast<R>(load_from<T>(access.at(i) + k * sizeof(T))); });
    }
  }
  return op + 1;
}

template <class T, class R, unsigned N>
const Op* store(Warp& w, const Op* op, u32 mask) {
  Access access;
  if (!resolve(w, op, mask, sizeof(T) * N, access)) {
    return raise_access(w, op, access.fault);
  }
  if (!watched(w, op, access, WarpAccess::Kind::write, mask, sizeof(T) * N)) {
    return nullptr;
  }
  const u32 single[1] = {op->b};
  const u32* list = N == 1 ? single : w.lists + op->d2;
  const R* value[N];
  for (unsigned k = 0; k < N; ++k) {
    value[k] = src<R>(w, list[k]);
  }
  if (access.kind == Access::Kind::contiguous) {
    alignas(64) T together[lane_count * N];
    for (unsigned k = 0; k < N; ++k) {
      const R* v = value[k];
      KC_LANES {
        together[i * N + k] = static_cast<T>(v[i]);
      }
    }
    __builtin_memcpy(access.first, together, sizeof(together));
    return op + 1;
  }
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    std::byte* p = access.at(i);
    for (unsigned k = 0; k < N; ++k) {
      store_to<T>(p + k * sizeof(T), static_cast<T>(value[k][i]));
    }
  }
  return op + 1;
}

/// Kernel parameters are the same for all lanes; the decoder has checked offset and size.
template <class T, class R>
const Op* load_parameter(Warp& w, const Op* op, u32 mask) {
  const std::byte* p = w.parameters + op->imm;
  for (unsigned k = 0; k < op->count; ++k) {
    const R value = static_cast<R>(load_from<T>(p + k * sizeof(T)));
    lanes(dst<R>(w, op->count == 1 ? op->d : w.lists[op->d2 + k]), mask, [&](unsigned) { return value; });
  }
  return op + 1;
}

/// Finds and reports the global memory that the lanes of `mask` read, each `bytes` of it.
bool read_source(Warp& w, const Op* op, u32 mask, u32 bytes, Access& from) {
  if (!resolve_global(w, src<u64>(w, op->b), static_cast<s32>(op->d2), mask, bytes, from)) {
    from.fault.what = "cp.async read";
    raise_access(w, op, from.fault);
    return false;
  }
  return watched(w, op, from, WarpAccess::Kind::read, mask, bytes);
}

/// Lanes that read fewer bytes than they write may name a source that ends where they stop. The address must
/// be a multiple of all that is written even so. Lanes that read all of it make one request.
bool read_part(Warp& w, const Op* op, u32 mask, const u32* size, Access& from) {
  const u64* base = src<u64>(w, op->b);
  const auto add = static_cast<u64>(static_cast<s64>(static_cast<s32>(op->d2)));
  from.kind = Access::Kind::scattered;
  u32 whole = 0;
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    const u64 address = base[i] + add;
    const u32 bytes = size[i];
    if ((address & (op->count - 1)) != 0 || (bytes != 0 && !known(w, address, bytes))) {
      from.fault.what = "cp.async read";
      fail_lane(from, address, i, op->count, Space::global, (address & (op->count - 1)) != 0);
      from.fault.bytes = from.fault.misaligned ? op->count : bytes;
      raise_access(w, op, from.fault);
      return false;
    }
    from.host[i] = address;
    if (bytes == op->count) {
      whole |= 1U << i;
    } else if (bytes != 0 && !watched(w, op, from, WarpAccess::Kind::read, 1U << i, bytes)) {
      return false;
    }
  }
  return whole == 0 || watched(w, op, from, WarpAccess::Kind::read, whole, op->count);
}

const Op* copy_async(Warp& w, const Op* op, u32 mask) {
  Access to;
  if (!resolve(w, op, mask, op->count, to)) {
    return raise_access(w, op, to.fault);
  }
  alignas(64) u32 size[lane_count];
  const u32* wanted = (op->flags & flag::copy_sized) != 0 ? src<u32>(w, op->c) : nullptr;
  u32 whole = all_lanes;
  KC_LANES {
    size[i] = wanted == nullptr || wanted[i] > op->count ? op->count : wanted[i];
    whole &= size[i] == op->count ? all_lanes : ~(1U << i);
  }
  Access from;
  const bool found =
      (mask & ~whole) == 0 ? read_source(w, op, mask, op->count, from) : read_part(w, op, mask, size, from);
  if (!found || !watched(w, op, to, WarpAccess::Kind::write, mask, op->count)) {
    return nullptr;
  }
  for (u32 rest = mask; rest != 0; rest &= rest - 1) {
    const auto i = static_cast<unsigned>(__builtin_ctz(rest));
    std::byte* target = to.at(i);
    for (u32 k = 0; k < op->count; ++k) {
      target[k] = k < size[i] ? from.at(i)[k] : std::byte{0};
    }
  }
  return op + 1;
}

const Op* convert_address(Warp& w, const Op* op, u32 mask) {
  const u64* a = src<u64>(w, op->a);
  const u64 window = static_cast<Space>(op->sub) == Space::shared ? shared_window : local_window;
  const u64 base = (op->flags & flag::address_to_space) != 0 ? u64{0} - window : window;
  lanes(dst<u64>(w, op->d), mask, [&](unsigned i) { return a[i] + base; });
  return op + 1;
}

const Op* in_space(Warp& w, const Op* op, u32 mask) {
  const u64* a = src<u64>(w, op->a);
  const auto space = static_cast<Space>(op->sub);
  const u64 window = space == Space::shared  ? shared_window
                     : space == Space::local ? local_window
                     : space == Space::param ? param_window
                                             : u64{0};
  set_pred(w, op->d, mask, where([&](unsigned i) { return (a[i] & window_mask) == window; }));
  return op + 1;
}

const Op* fence(Warp& w, const Op* op, u32) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (op->sub != 0 && w.strict != nullptr) {
    strict_proxy_fence(*w.strict, w.index);
  }
  return op + 1;
}

template <class T, class R>
Handler load_by_count(unsigned count) {
  switch (count) {
    case 1:
      return load<T, R, 1>;
    case 2:
      return load<T, R, 2>;
    case 4:
      return load<T, R, 4>;
    case 8:
      if constexpr (sizeof(T) <= 4) {
        return load<T, R, 8>;
      }
      return nullptr;
    default:
      return nullptr;
  }
}

template <class T, class R>
Handler store_by_count(unsigned count) {
  switch (count) {
    case 1:
      return store<T, R, 1>;
    case 2:
      return store<T, R, 2>;
    case 4:
      return store<T, R, 4>;
    case 8:
      if constexpr (sizeof(T) <= 4) {
        return store<T, R, 8>;
      }
      return nullptr;
    default:
      return nullptr;
  }
}

/// Calls `f` with a value of the memory type and one of the register type.
template <class F>
Handler by_memory_type(const Op& op, F f) {
  switch (op.type) {
    case Type::u8:
    case Type::b8:
      return op.width == 2 ? f(u8{}, u16{}) : op.width == 4 ? f(u8{}, u32{}) : f(u8{}, u64{});
    case Type::s8:
      return op.width == 2 ? f(s8{}, u16{}) : op.width == 4 ? f(s8{}, u32{}) : f(s8{}, u64{});
    case Type::s16:
      return op.width == 2 ? f(u16{}, u16{}) : op.width == 4 ? f(s16{}, u32{}) : f(s16{}, u64{});
    case Type::u16:
    case Type::b16:
    case Type::f16:
    case Type::bf16:
      return op.width == 2 ? f(u16{}, u16{}) : op.width == 4 ? f(u16{}, u32{}) : f(u16{}, u64{});
    case Type::s32:
      return op.width == 4 ? f(u32{}, u32{}) : f(s32{}, u64{});
    case Type::u32:
    case Type::b32:
    case Type::f32:
    case Type::f16x2:
    case Type::bf16x2:
      return op.width == 4 ? f(u32{}, u32{}) : f(u32{}, u64{});
    case Type::u64:
    case Type::s64:
    case Type::b64:
    case Type::f64:
      return f(u64{}, u64{});
    default:
      return nullptr;
  }
}

}  // namespace

Handler select_memory(const Op& op) {
  switch (op.code) {
    case Code::ld:
      return by_memory_type(
          op, [&](auto t, auto r) { return load_by_count<decltype(t), decltype(r)>(op.count); });
    case Code::st:
      // A store cuts the register, so the sign does not matter, and half of the instances are enough.
      return by_memory_type(op, [&](auto t, auto r) {
        return store_by_count<std::make_unsigned_t<decltype(t)>, decltype(r)>(op.count);
      });
    case Code::ld_param:
      return by_memory_type(
          op, [](auto t, auto r) -> Handler { return load_parameter<decltype(t), decltype(r)>; });
    case Code::cp_async:
      return copy_async;
    case Code::cvta:
      return convert_address;
    case Code::isspacep:
      return in_space;
    case Code::fence:
      return fence;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
