#pragma once

#include "runtime/simulator/machine/instruction.hpp"

namespace kerncast::simulator {

/// One build of the instruction handlers.
struct Isa {
  const char* name;
  /// The handler for a decoded op, or null where the executor has none.
  Handler (*select)(const Op& op);
};

namespace isa_v2 {
extern const Isa kIsa;
}
namespace isa_v3 {
extern const Isa kIsa;
}
namespace isa_v4 {
extern const Isa kIsa;
}

/// The build picked for this machine, or by KERNCAST_SIM_ISA, which is read anew for every module.
const Isa& isa();

}  // namespace kerncast::simulator
