#pragma once

#include "runtime/simulator/ptx/decode_context.hpp"

/// The decoders of instructions, by family. Each takes the current instruction of the context and emits its
/// ops; all throw DecodeError for a form that PTX does not have or the virtual GPU does not support.
namespace kerncast::simulator {

// integer.cpp: integers, bits, comparisons and selections.
void decode_add_sub(DecodeContext& c);
void decode_mul(DecodeContext& c);
void decode_mad(DecodeContext& c);
void decode_carry(DecodeContext& c);
void decode_mul24(DecodeContext& c);
void decode_mad24(DecodeContext& c);
void decode_sad(DecodeContext& c);
void decode_binary_integer(DecodeContext& c);
void decode_div(DecodeContext& c);
void decode_min_max(DecodeContext& c);
void decode_abs_neg(DecodeContext& c);
void decode_logic(DecodeContext& c);
void decode_shift(DecodeContext& c);
void decode_funnel_shift(DecodeContext& c);
void decode_bit_field(DecodeContext& c);
void decode_lop3(DecodeContext& c);
void decode_prmt(DecodeContext& c);
void decode_count_bits(DecodeContext& c);
void decode_dot_product(DecodeContext& c);
void decode_set(DecodeContext& c);
void decode_selp(DecodeContext& c);
void decode_slct(DecodeContext& c);

// float.cpp: floats.
void decode_fma(DecodeContext& c);
void decode_reciprocal(DecodeContext& c);
void decode_approximate(DecodeContext& c);
void decode_testp(DecodeContext& c);
void decode_copysign(DecodeContext& c);

// packed.cpp: arithmetic that picks its form by type, pairs and mixed precision.
void decode_arithmetic(DecodeContext& c);
void decode_vabsdiff4(DecodeContext& c);

// convert.cpp: moves and conversions.
void decode_mov(DecodeContext& c);
void decode_cvt(DecodeContext& c);
void decode_cvta(DecodeContext& c);
void decode_isspacep(DecodeContext& c);

// memory.cpp: loads and stores.
void decode_load(DecodeContext& c);
void decode_store(DecodeContext& c);

// atomic.cpp: atomics.
void decode_atomic(DecodeContext& c);

// async.cpp: asynchronous copies and mbarriers.
void decode_copy(DecodeContext& c);
void decode_mbarrier(DecodeContext& c);

// hint.cpp: fences, caches and other hints.
void decode_fence(DecodeContext& c);
void decode_prefetch(DecodeContext& c);
void decode_lines(DecodeContext& c);
void decode_create_policy(DecodeContext& c);
void decode_nanosleep(DecodeContext& c);
void decode_grid_control(DecodeContext& c);
void decode_event(DecodeContext& c);
void decode_register_count(DecodeContext& c);

// control.cpp: control, barriers and warps.
void decode_branch(DecodeContext& c);
void decode_branch_table(DecodeContext& c);
void decode_exit(DecodeContext& c);
void decode_trap(DecodeContext& c);
void decode_barrier(DecodeContext& c);
void decode_map_address(DecodeContext& c);
void decode_cluster_rank(DecodeContext& c);
void decode_shuffle(DecodeContext& c);
void decode_vote(DecodeContext& c);
void decode_match(DecodeContext& c);
void decode_redux(DecodeContext& c);
void decode_activemask(DecodeContext& c);
void decode_elect(DecodeContext& c);

// matrix.cpp: matrices.
void decode_mma(DecodeContext& c);
void decode_matrix_move(DecodeContext& c);

// wgmma.cpp: matrices of warpgroups.
void decode_wgmma(DecodeContext& c);

// stack.cpp: alloca.
/// Gives the function that begins the memory that its calls give out, if the module uses alloca.
void reserve_alloca_area(DecodeContext& c, int line);
void decode_alloca(DecodeContext& c);
void decode_stack_pointer(DecodeContext& c);

// call.cpp: calls of device functions.
void decode_call(DecodeContext& c, const Call& call);

}  // namespace kerncast::simulator
