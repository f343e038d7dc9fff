#pragma once

#include "runtime/simulator/exec/isa.hpp"
#include "runtime/simulator/machine/instruction.hpp"
#include "runtime/simulator/machine/state.hpp"

/// The handler tables of one x86-64 level; KERNCAST_SIM_LEVEL names the namespace. Each function returns null
/// for ops of other groups.
namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

Handler select_integer(const Op& op);
Handler select_bits(const Op& op);
Handler select_float(const Op& op);
Handler select_half(const Op& op);
Handler select_convert(const Op& op);
Handler select_memory(const Op& op);
Handler select_atomic(const Op& op);
Handler select_warp(const Op& op);
Handler select_control(const Op& op);
Handler select_matrix(const Op& op);
Handler select_mma(const Op& op);
Handler select_wgmma(const Op& op);
Handler select_cluster(const Op& op);
Handler select_mbarrier(const Op& op);
Handler select_tensor_copy(const Op& op);
Handler select_pairs(const Op& op);
Handler select_atomic_vector(const Op& op);

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
