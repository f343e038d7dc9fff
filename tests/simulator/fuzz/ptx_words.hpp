#pragma once

#include <string_view>

namespace kerncast::simulator::testing {

/// PTX instruction names, separated by blanks.
inline constexpr std::string_view ptx_opcodes =
    "abs activemask add addc alloca and applypriority atom bar barrier bfe bfi bfind bmsk bra brev brkpt brx "
    "clz cnot copysign cos cp createpolicy cvt cvta discard div dp2a dp4a elect ex2 exit fence fma fns "
    "getctarank "
    "griddepcontrol isspacep ld ldmatrix ldu lg2 lop3 mad mad24 madc mapa match max mbarrier membar min mma "
    "mov movmatrix mul mul24 multimem nanosleep neg not or pmevent popc prefetch prefetchu prmt rcp red "
    "redux "
    "rem ret rsqrt sad selp set setmaxnreg setp shf shfl shl shr sin slct sqrt st stackrestore stacksave "
    "stmatrix sub subc szext tanh tcgen05 testp trap vabsdiff4 vote wgmma wmma xor";

/// The parts of instructions and directives after the dots, separated by blanks.
inline constexpr std::string_view ptx_modifiers =
    "0x1 16 1d 2d 3d L1::evict_last L2::128B L2::cache_hint NaN abs acq_rel acquire add aligned all and any "
    "approx "
    "arrive arrive_drop async async::generic b128 b16 b32 b64 b8 b8x16 ballot bf16 bf16x2 bfly bulk "
    "bulk_group ca cas cc cg clamp cluster col commit_group complete_tx const cs cta cv dec down e2m1x2 "
    "e2m3x2 e3m2x2 e4m3 e4m3x2 e5m2 e5m2x2 ecl ecr eq equ exch expect_tx f16 f16x2 f32 f32x2 f64 finite "
    "fractional ftz full ge generic geu gl global gpu gt gtu hi hs idx inc infinite init inval kind::f8f6f4 "
    "l "
    "le leu level::eviction_priority lo local ls lt ltu lu m16n8k16 m16n8k32 m16n8k4 m16n8k8 m64n8k16 "
    "m64n8k32 m8n8 m8n8k16 mma_async "
    "max "
    "mbarrier::complete_tx::bytes mbarrier_init min mmio mul multicast nan nc ne neu noftz noinc none normal "
    "not notanumber num or pack param param::entry param::func parity pending_count pred proxy range rc16 "
    "rc8 "
    "read red reduce relaxed release relu rm rmi rn rna rni row rp rpi rz rzi s16 s16x2 s32 s64 s8 sat "
    "satfinite sc shared shared::cluster shared::cta shiftamt sub subnormal sync sync_restrict sys tensor "
    "tensormap "
    "tensormap::generic tile "
    "test_wait tf32 to trans try_wait u16 u16x2 u32 u64 u8 ue8m0x2 uni unified up v2 v4 v8 volatile wait_all "
    "wait_group warp wb weak wide wrap wt x1 x2 x4 xor xorsign";

}  // namespace kerncast::simulator::testing
