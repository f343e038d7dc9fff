#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kerncast/op_definition.hpp"

namespace kerncast {

/// The reason why no device of `traits` can launch `op` with `tunables` for `rows` rows: the values do not go
/// together, or a stage has a block of no threads, of too many, or of more shared memory than a block may
/// have. Empty if it can. Each value must be valid; see check_tunables(). `arch` names the device in the
/// text. Nothing is compiled, so the registers of the kernel do not count. Thread-safe.
[[nodiscard]] std::string launch_defect(const OpDefinition& op, const Specialisation& spec,
                                        const Tunables& tunables, const DeviceTraits& traits,
                                        std::string_view arch, std::int64_t rows);

}  // namespace kerncast
