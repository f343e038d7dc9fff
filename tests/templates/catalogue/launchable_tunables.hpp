#pragma once

#include <vector>

#include "kerncast/op_definition.hpp"

namespace kerncast::test {

/// The combinations of the op's tunables that `call` can be launched with, except blocks of more rows than
/// the call has: warps without a row would lower the averages that the model uses. If `coarse`, a tunable of
/// many values has only the powers of two among them.
[[nodiscard]] std::vector<Tunables> launchable_tunables(const OpDefinition& op, const Call& call,
                                                        const DeviceTraits& traits, bool coarse);

}  // namespace kerncast::test
