#include <type_traits>

#include "runtime/simulator/exec/address.hpp"
#include "runtime/simulator/exec/executor.hpp"
#include "runtime/simulator/exec/matrix/product.hpp"
#include "runtime/simulator/exec/members.hpp"

// Products of the matrices of a warpgroup. Each warp computes its 16 rows of D when it comes to the
// instruction, which is one of the times the ISA allows. The order that programs must keep is the strict
// checks' business.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

constexpr unsigned warp_rows = 16;
constexpr unsigned row_bytes = 32;  ///< of one row of A or column of B, whatever the element type
constexpr unsigned chunk_bytes = 16;
constexpr unsigned most_columns = 256;
constexpr unsigned chunks_of_block = columns * row_bytes / chunk_bytes;
constexpr unsigned halves_of_chunk = chunk_bytes / sizeof(u16);

/// A matrix in shared memory as its descriptor says it. The unit is a chunk of 16 bytes: 8 rows by one chunk
/// are a core matrix.
struct SharedMatrix {
  u32 start;
  u32 leading;  ///< byte offset
  u32 stride;   ///< byte offset
  u32 span;     ///< chunks of a row of the swizzle's pattern; 1 without a swizzle
  u32 phase;    ///< the row of the pattern at address 0
  bool interleaved;

  explicit SharedMatrix(u64 descriptor)
      : start(field(descriptor, 0)),
        leading(field(descriptor, 16)),
        stride(field(descriptor, 32)),
        phase(static_cast<u32>(descriptor >> 49) & 7U) {
    static constexpr u32 spans[4] = {1, 8, 4, 2};
    span = spans[descriptor >> 62];
    interleaved = span == 1;
  }

  static u32 field(u64 descriptor, unsigned at) {
    return (static_cast<u32>(descriptor >> at) & 0x3fffU) * chunk_bytes;
  }

  /// The address of a chunk. A swizzle exchanges the chunks of each row of its pattern by the row's number.
  [[nodiscard]] u32 swizzled(u32 offset) const {
    const u32 address = start + offset;
    const u32 row = ((address >> 7) - phase) & (span - 1);
    return address ^ row << 4;
  }

  /// Chunk `chunk` of row `line` of a matrix whose rows run along k.
  [[nodiscard]] u32 along_k(u32 line, u32 chunk) const {
    return swizzled(line % block_rows * chunk_bytes * span + line / block_rows * stride +
                    chunk * (interleaved ? leading : chunk_bytes));
  }

  /// The 8 halves from `line` on at place `k` of a matrix whose rows run across k.
  [[nodiscard]] u32 across_k(u32 line, u32 k) const {
    const u32 chunk = line / halves_of_chunk;
    if (interleaved) {
      return swizzled(chunk * stride + k % block_rows * chunk_bytes + k / block_rows * leading);
    }
    return swizzled(chunk % span * chunk_bytes + chunk / span * leading +
                    k % block_rows * chunk_bytes * span + k / block_rows * stride);
  }
};

/// Host addresses of the chunks of 16 rows of A or of two blocks of columns of B, as many as a warp has
/// lanes. False after raising a fault.
bool locate_chunks(Warp& w, const Op* op, const SharedMatrix& matrix, bool across, u32 first_line, u32 lines,
                   Access& access) {
  access.kind = Access::Kind::scattered;
  access.fault.what = "wgmma read";
  const u32 count = lines * row_bytes / chunk_bytes;
  for (u32 i = 0; i < count; ++i) {
    u32 at = 0;
    if (across) {
      constexpr u32 depth = row_bytes / sizeof(u16);
      at = matrix.across_k(first_line + i / depth * halves_of_chunk, i % depth);
    } else {
      at = matrix.along_k(first_line + i / 2, i % 2);
    }
    if (at > w.shared_bytes || chunk_bytes > w.shared_bytes - at) {
      fail_lane(access, at, i, chunk_bytes, Space::shared, false);
      raise_access(w, op, access.fault);
      return false;
    }
    access.host[i] = reinterpret_cast<u64>(w.shared) + at;
  }
  const u32 mask = count == lane_count ? all_lanes : (1U << count) - 1;
  if (w.strict != nullptr && !strict_tile(w, op, access.host, mask, matrix.span)) {
    return false;
  }
  return watched(w, op, access, WarpAccess::Kind::read, mask, chunk_bytes);
}

/// Elements of 8 lines as they lie along k, from the chunks of the lines or, for halves, across them.
template <class S>
KC_INLINE void gather_lines(const u64* chunks, bool across, S (*to)[row_bytes / sizeof(S)]) {
  if constexpr (sizeof(S) == sizeof(u16)) {
    if (across) {
      for (unsigned k = 0; k < row_bytes / sizeof(S); ++k) {
        S lines[halves_of_chunk];
        __builtin_memcpy(lines, reinterpret_cast<const std::byte*>(chunks[k]), sizeof(lines));
        for (unsigned i = 0; i < halves_of_chunk; ++i) {
          to[i][k] = lines[i];
        }
      }
      return;
    }
  }
  for (unsigned i = 0; i < columns; ++i) {
    for (unsigned half = 0; half < 2; ++half) {
      __builtin_memcpy(reinterpret_cast<std::byte*>(to[i]) + std::size_t{half} * chunk_bytes,
                       reinterpret_cast<const std::byte*>(chunks[2 * i + half]), chunk_bytes);
    }
  }
}

/// The value of a descriptor, which all lanes must agree on. False after raising a fault.
bool take_descriptor(Warp& w, const Op* op, u32 offset, u64& value) {
  const u64* given = src<u64>(w, offset);
  value = given[0];
  for (unsigned i = 1; i < lane_count; ++i) {
    if (given[i] != value) {
      raise_illegal(w, op, i, "passes another matrix descriptor than the other threads of its warp");
      return false;
    }
  }
  return true;
}

bool check_group(Warp& w, const Op* op) {
  if (!in_warpgroup(w)) {
    raise_illegal(w, op, 0, "is not in a whole warpgroup of four warps, which the instruction needs");
    return false;
  }
  return true;
}

template <class A, class B, class D>
void multiply_group(Warp& w, const Op* op) {
  using T = A::Sum;
  using S = A::Storage;
  constexpr unsigned depth = row_bytes / sizeof(S);
  constexpr unsigned a_registers = 4;
  constexpr unsigned per_block = std::is_same_v<D, ToF16> ? 2 : 4;
  const unsigned blocks = op->count;
  const bool a_here = (op->flags & flag::a_in_registers) != 0;
  u64 a_descriptor = 0;
  u64 b_descriptor = 0;
  if (!check_group(w, op) || (!a_here && !take_descriptor(w, op, op->a, a_descriptor)) ||
      !take_descriptor(w, op, op->b, b_descriptor)) {
    return;
  }
  const u32 adds_lanes = pred(w, op->c) ^ ((op->flags & flag::neg_c) != 0 ? all_lanes : 0U);
  if (adds_lanes != 0 && adds_lanes != all_lanes) {
    raise_illegal(w, op, static_cast<u32>(__builtin_ctz(~adds_lanes)),
                  "passes another scale-d than the other threads of its warp");
    return;
  }
  const bool adds = adds_lanes != 0;
  if (w.strict != nullptr && !strict_group_product(w, op, a_descriptor, b_descriptor, adds)) {
    return;
  }
  const u32* d_list = w.lists + op->d2;
  const u32* a_list = d_list + std::size_t{blocks} * per_block;
  const u32* c_list = a_list + (a_here ? a_registers : 0);
  Access access;
  alignas(64) T a[warp_rows][depth];
  if (a_here) {
    gather_a<A, warp_rows, depth>(w, a_list, a);
  } else {
    const bool across = (op->flags & flag::transpose) != 0;
    if (!locate_chunks(w, op, SharedMatrix(a_descriptor), across, w.index % group_warps * warp_rows,
                       warp_rows, access)) {
      return;
    }
    alignas(64) S raw[warp_rows][depth];
    for (unsigned block = 0; block < warp_rows / block_rows; ++block) {
      gather_lines<S>(access.host + std::size_t{block} * chunks_of_block, across, raw + block * block_rows);
    }
    A::expand(&raw[0][0], &a[0][0], warp_rows * depth);
  }
  if ((op->flags & flag::negate_products) != 0) {
    for (auto& row : a) {
      for (T& element : row) {
        element = -element;
      }
    }
  }
  const bool across = (op->flags & flag::transpose_b) != 0;
  const SharedMatrix matrix(b_descriptor);
  u64 chunks[most_columns / columns * chunks_of_block];
  for (unsigned block = 0; block < blocks; block += 2) {
    const unsigned together = block + 1 < blocks ? 2 : 1;
    if (!locate_chunks(w, op, matrix, across, block * columns, together * columns, access)) {
      return;
    }
    __builtin_memcpy(chunks + std::size_t{block} * chunks_of_block, access.host,
                     sizeof(u64) * together * chunks_of_block);
  }
  for (unsigned block = 0; block < blocks; ++block) {
    using BS = B::Storage;
    alignas(64) BS raw[columns][depth];
    gather_lines<BS>(chunks + std::size_t{block} * chunks_of_block, across, raw);
    alignas(64) BS turned[depth * columns];
    for (unsigned k = 0; k < depth; ++k) {
      for (unsigned column = 0; column < columns; ++column) {
        turned[k * columns + column] = raw[column][k];
      }
    }
    alignas(64) T flat[warp_rows * columns];
    typename Row<T>::type b[depth];
    typename Row<T>::type c[warp_rows];
    alignas(64) T right[depth * columns];
    B::expand(turned, right, depth * columns);
    __builtin_memcpy(b, right, sizeof(right));
    const u32* old = c_list + std::size_t{block} * per_block;
    if (adds) {
      for (unsigned half = 0; half < 2; ++half) {
        D::load(w, old, half, flat + half * block_rows * columns);
      }
      __builtin_memcpy(c, flat, sizeof(flat));
    } else {
      __builtin_memset(c, 0, sizeof(c));
    }
    multiply<T, warp_rows, depth>(a, b, c);
    __builtin_memcpy(flat, c, sizeof(flat));
    for (unsigned half = 0; half < 2; ++half) {
      D::store(w, op, d_list + std::size_t{block} * per_block, adds ? old : nullptr, half,
               flat + half * block_rows * columns);
    }
  }
}

template <class A, class B, class D>
const Op* group_product(Warp& w, const Op* op, u32 mask) {
  return with_warp(w, op, mask, static_cast<u32>(op->imm), [&](u32) { multiply_group<A, B, D>(w, op); });
}

/// wgmma.fence, commit_group and wait_group: there is nothing to do but to check that programs keep the
/// order.
const Op* order_group(Warp& w, const Op* op, u32 mask) {
  return with_warp(w, op, mask, static_cast<u32>(op->imm), [&](u32) {
    if (check_group(w, op) && w.strict != nullptr) {
      strict_group_order(w, op);
    }
  });
}

template <class A, class B>
Handler by_sum(const Op& op) {
  return static_cast<Type>(op.sub) == Type::f16 ? group_product<A, B, ToF16> : group_product<A, B, ToF32>;
}

}  // namespace

Handler select_wgmma(const Op& op) {
  if (op.code == Code::wgmma_fence || op.code == Code::wgmma_commit || op.code == Code::wgmma_wait) {
    return order_group;
  }
  if (op.code != Code::wgmma) {
    return nullptr;
  }
  switch (op.type) {
    case Type::f16:
      return by_sum<F16, F16>(op);
    case Type::bf16:
      return group_product<Bf16, Bf16, ToF32>;
    case Type::tf32:
      return group_product<Tf32, Tf32, ToF32>;
    case Type::e4m3:
      return op.source == Type::e4m3 ? by_sum<E4m3, E4m3>(op) : by_sum<E4m3, E5m2>(op);
    case Type::e5m2:
      return op.source == Type::e4m3 ? by_sum<E5m2, E4m3>(op) : by_sum<E5m2, E5m2>(op);
    case Type::s8:
      return op.source == Type::s8 ? group_product<S8, S8, ToS32> : group_product<S8, U8, ToS32>;
    case Type::u8:
      return op.source == Type::s8 ? group_product<U8, S8, ToS32> : group_product<U8, U8, ToS32>;
    default:
      return nullptr;
  }
}

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
