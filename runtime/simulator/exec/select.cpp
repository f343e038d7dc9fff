#include "runtime/simulator/exec/executor.hpp"

namespace kerncast::simulator::KERNCAST_SIM_LEVEL {

namespace {

Handler select(const Op& op) {
  using Select = Handler (*)(const Op&);
  static constexpr Select groups[] = {select_integer, select_bits,          select_float,  select_half,
                                      select_convert, select_memory,        select_atomic, select_warp,
                                      select_control, select_matrix,        select_mma,    select_mbarrier,
                                      select_pairs,   select_atomic_vector, select_wgmma,  select_tensor_copy,
                                      select_cluster};
  for (const Select group : groups) {
    if (const Handler handler = group(op); handler != nullptr) {
      return handler;
    }
  }
  return nullptr;
}

}  // namespace

const Isa handlers{KERNCAST_SIM_LEVEL_NAME, select};

}  // namespace kerncast::simulator::KERNCAST_SIM_LEVEL
