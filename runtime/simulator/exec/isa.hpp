#pragma once

#include "runtime/simulator/machine/instruction.hpp"

namespace kerncast::simulator {

/// One build of the instruction handlers.
struct Isa {
  const char* name;
  /// The handler of a decoded op; null if this build has none for it.
  Handler (*select)(const Op& op);
};

namespace isa_v2 {
extern const Isa handlers;
}
namespace isa_v3 {
extern const Isa handlers;
}
namespace isa_v4 {
extern const Isa handlers;
}

/// The best build for this machine, or the one that KERNCAST_SIM_ISA names. Read again for every module.
const Isa& isa();

}  // namespace kerncast::simulator
