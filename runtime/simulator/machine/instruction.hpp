#pragma once

#include <cstdint>

/// The compact form a PTX instruction is decoded to, shared by decoder, executors and scheduler. Plain data
/// only: this header is compiled into the executors of every x86-64 level.
namespace kerncast::simulator {

/// PTX operand types, as written in the instruction.
enum class Type : std::uint8_t {
  none,
  b8,
  b16,
  b32,
  b64,
  b128,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  f16x2,
  bf16,
  bf16x2,
  f32,
  f64,
  e4m3x2,
  e5m2x2,
  e2m1x2,
  ue8m0x2,
  pred,
  e4m3,  ///< this and what follows: element types of matrices and conversions, not of registers
  e5m2,
  tf32,
  f32x2,
  u16x2,
  s16x2,
  e2m3x2,
  e3m2x2,
};

/// The action of an instruction. One code covers all types; `Op::type` and the flags tell the variants apart.
enum class Code : std::uint16_t {
  nop,
  mov,
  mov_pred,
  mov_special,
  widen_parts,   ///< pack: list -> d
  narrow_parts,  ///< unpack: a -> list
  add,
  sub,
  mul,
  mul_hi,
  mul_wide,
  mad,
  mad_hi,
  mad_wide,
  mul24,
  mul24_hi,
  mad24,
  mad24_hi,
  sad,
  div,
  rem,
  abs,
  neg,
  min,
  max,
  bit_and,
  bit_or,
  bit_xor,
  bit_not,
  cnot,
  shl,
  shr,
  shf_l,
  shf_r,
  bfe,
  bfi,
  bmsk,
  szext,
  lop3,
  prmt,
  popc,
  clz,
  brev,
  bfind,
  fns,
  dp4a,
  dp2a,
  add_carry,  ///< add/sub/mad with carry in and/or out
  sub_carry,
  mad_carry,
  mad_hi_carry,
  pred_and,
  pred_or,
  pred_xor,
  pred_not,
  pred_lop3,
  setp,
  set,
  selp,
  slct,
  testp,
  copysign,
  fma,
  rcp,
  sqrt,
  rsqrt,
  ex2,
  lg2,
  sin,
  cos,
  tanh,
  cvt,
  cvt_pack,  ///< two floats to one packed register
  cvt_unpack,
  cvt_pack_int,
  ld,
  ld_param,
  st,
  atom,
  red,
  cp_async,
  fence,
  cvta,
  isspacep,
  mapa,
  bra,
  brx,
  call,
  ret,
  exit,
  barrier_sync,
  barrier_arrive,
  barrier_red,
  warp_sync,
  shfl,
  vote,
  match,
  redux,
  activemask,
  elect,
  trap,
  host_call,  ///< vprintf, __assertfail, malloc, free
  mma,
  ldmatrix,
  stmatrix,
  movmatrix,
  mbarrier,
  cp_bulk,
  vabsdiff4,
  atom_vector,
  red_vector,
  call_indirect,
  reserve,  ///< alloca
  nanosleep,
  grid_wait,     ///< griddepcontrol.wait
  grid_trigger,  ///< griddepcontrol.launch_dependents
  wgmma,
  wgmma_fence,
  wgmma_commit,
  wgmma_wait,
  cp_tensor,  ///< a bulk copy between shared memory and a tensor that a tensor map describes
  cta_rank,   ///< getctarank
  cluster_arrive,
  cluster_wait,
};

enum class Space : std::uint8_t { generic, global, shared, local, param, constant };

enum class Rounding : std::uint8_t { none, rn, rz, rm, rp, rna, approx, full };

/// Comparison bases of setp. The other comparisons swap the operands or invert the result.
enum class Compare : std::uint8_t { eq, lt, le, ltgt, num };

enum class Special : std::uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  gridid,
  clock,
  clock_hi,
  globaltimer,
  globaltimer_lo,
  globaltimer_hi,
  lanemask_eq,
  lanemask_le,
  lanemask_lt,
  lanemask_ge,
  lanemask_gt,
  dynamic_smem_size,
  total_smem_size,
  dynamic_shared_base,
  local_base,
  grid_workspace_hi,
  grid_workspace_lo,
  zero,
  one,
  clusterid_x,
  clusterid_y,
  clusterid_z,
  nclusterid_x,
  nclusterid_y,
  nclusterid_z,
  cluster_ctaid_x,
  cluster_ctaid_y,
  cluster_ctaid_z,
  cluster_nctaid_x,
  cluster_nctaid_y,
  cluster_nctaid_z,
  cluster_ctarank,
  cluster_nctarank,
};

/// The action of an mbarrier instruction.
enum class MbarrierOp : std::uint8_t {
  init,
  inval,
  expect_tx,
  complete_tx,
  arrive,
  arrive_expect_tx,
  arrive_no_complete,
  arrive_drop,
  arrive_drop_expect_tx,
  arrive_drop_no_complete,
  copies_arrive,         ///< cp.async.mbarrier.arrive: its net effect is none
  copies_arrive_no_inc,  ///< and with .noinc that of an arrival
  test_wait,
  test_wait_parity,
  try_wait,
  try_wait_parity,
  pending_count,
};

enum class AtomicOp : std::uint8_t { add, min, max, bit_and, bit_or, bit_xor, exch, cas, inc, dec };

/// Modifier bits of `Op::flags`.
namespace flag {
inline constexpr std::uint32_t ftz = 1U << 0;
inline constexpr std::uint32_t sat = 1U << 1;
inline constexpr std::uint32_t relu = 1U << 2;
inline constexpr std::uint32_t nan = 1U << 3;       ///< min/max return NaN when an input is NaN
inline constexpr std::uint32_t xor_sign = 1U << 4;  ///< .xorsign.abs
inline constexpr std::uint32_t sat_finite = 1U << 5;
inline constexpr std::uint32_t to_integer = 1U << 6;  ///< cvt float to float rounding to an integral value
inline constexpr std::uint32_t invert = 1U << 7;      ///< setp: invert the comparison
inline constexpr std::uint32_t neg_c = 1U << 8;       ///< predicate operand c is negated
inline constexpr std::uint32_t wrap = 1U << 9;        ///< shf.wrap; otherwise clamp
inline constexpr std::uint32_t carry_in = 1U << 10;
inline constexpr std::uint32_t carry_out = 1U << 11;
inline constexpr std::uint32_t bool_and = 1U << 12;
inline constexpr std::uint32_t bool_or = 1U << 13;
inline constexpr std::uint32_t bool_xor = 1U << 14;
inline constexpr std::uint32_t signed_a = 1U << 15;  ///< dp4a, dp2a
inline constexpr std::uint32_t signed_b = 1U << 16;
inline constexpr std::uint32_t high = 1U << 17;            ///< dp2a.hi
inline constexpr std::uint32_t narrow_address = 1U << 18;  ///< the address register has 32 bits
inline constexpr std::uint32_t shift_amount = 1U << 19;    ///< bfind.shiftamt
inline constexpr std::uint32_t neg_a = 1U << 20;
inline constexpr std::uint32_t address_to_space = 1U << 21;  ///< cvta.to
inline constexpr std::uint32_t copy_sized = 1U << 22;        ///< cp.async with a source size operand
inline constexpr std::uint32_t strong = 1U << 24;  ///< a memory access that is volatile or has a memory order
inline constexpr std::uint32_t aligned = 1U
                                         << 25;  ///< a barrier that all threads of a warp must reach together
inline constexpr std::uint32_t transpose = 1U << 26;        ///< ldmatrix, stmatrix; wgmma: A is M-major
inline constexpr std::uint32_t uncounted = 1U << 27;        ///< a branch that the PTX does not have
inline constexpr std::uint32_t transpose_b = 1U << 28;      ///< wgmma: B is N-major
inline constexpr std::uint32_t negate_products = 1U << 29;  ///< wgmma
inline constexpr std::uint32_t multicast = 1U << 23;        ///< a copy to several blocks of the cluster
inline constexpr std::uint32_t a_in_registers = 1U << 30;   ///< wgmma
}  // namespace flag

struct Op;
struct Warp;
/// Executes `op` for the lanes of `mask` (never empty). Returns the next op, or null after setting the warp's
/// event.
using Handler = const Op* (*)(Warp& warp, const Op* op, std::uint32_t mask);

/// One decoded instruction: a cache line. Register operands are byte offsets into the warp's frame, constants
/// are offsets into the module's constant area with bit 0 set; both hold 32 lanes, so fetching either is the
/// same. Predicates are 32-bit lane masks in the frame.
struct alignas(64) Op {
  Handler handler = nullptr;
  std::uint32_t d = 0;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d2 = 0;     ///< second destination, or the first entry of an operand list
  std::uint32_t guard = 0;  ///< predicate that must hold
  std::uint32_t guard_xor = 0;
  std::uint32_t prefix =
      0;                 ///< PTX instructions before this one in the module: differences give exact counts
  std::int64_t imm = 0;  ///< address offset, branch distance in ops, look-up table, ...
  Code code = Code::nop;
  Type type = Type::none;
  Type source = Type::none;
  Rounding rounding = Rounding::none;
  std::uint8_t sub = 0;     ///< Compare, Special, AtomicOp, Space or mode of the code
  std::uint8_t count = 0;   ///< vector elements
  std::uint8_t width = 0;   ///< register bytes per lane, if they differ from the type's
  std::uint32_t flags = 0;  ///< bits of namespace flag
};
static_assert(sizeof(Op) == 64);

/// Layout of the start of every register frame. The per-lane call state lets fragments of a warp that were
/// called from different places run a function together.
namespace frame_header {
inline constexpr std::uint32_t true_predicate = 0;   ///< a predicate that always holds
inline constexpr std::uint32_t false_predicate = 4;  ///< and one that never does
inline constexpr std::uint32_t return_op = 64;       ///< u32 x 32: module op index to return to
inline constexpr std::uint32_t caller_frame =
    192;  ///< u32 x 32: the caller's frame, bytes from the stack's start
inline constexpr std::uint32_t local_base = 320;  ///< u32 x 32: where this call's local memory starts
inline constexpr std::uint32_t size = 448;
}  // namespace frame_header

inline constexpr std::uint32_t lane_count = 32;
inline constexpr std::uint32_t all_lanes = 0xffffffffU;

/// Bytes each call can give out by alloca.
inline constexpr std::uint32_t stack_area_bytes = 4096;

/// Warps that execute a wgmma together.
inline constexpr std::uint32_t group_warps = 4;

/// The most blocks of a cluster.
inline constexpr std::uint32_t most_cluster_blocks = 16;
/// Distance of the blocks of a cluster in the shared window, as mapa gives it: the shared memory of the block
/// of rank r begins at (r + 1) << cluster_shift. Below is the block's own.
inline constexpr std::uint32_t cluster_shift = 24;

/// Generic addresses outside global memory. They are far above any host pointer.
inline constexpr std::uint64_t shared_window = 0xf000'0000'0000'0000ULL;
inline constexpr std::uint64_t local_window = 0xf100'0000'0000'0000ULL;
inline constexpr std::uint64_t param_window = 0xf200'0000'0000'0000ULL;
/// Function pointers: the function's index in its module.
inline constexpr std::uint64_t function_window = 0xf300'0000'0000'0000ULL;
inline constexpr std::uint64_t window_mask = 0xff00'0000'0000'0000ULL;

}  // namespace kerncast::simulator
