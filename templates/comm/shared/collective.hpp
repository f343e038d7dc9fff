#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kerncast/communicator.hpp"
#include "kerncast/op_definition.hpp"
#include "templates/comm/shared/exchange_args.h"

/// The host side that the ops share which exchange rows through a communicator.
namespace kerncast::comm {

/// The message of one call.
struct Message {
  std::int64_t rows = 0;
  std::int64_t row_bytes = 0;  ///< without padding
  int device = 0;
};

/// Lines of 16 bytes of a row of `bytes` bytes.
[[nodiscard]] constexpr std::int64_t lines_of_row(std::int64_t bytes) noexcept {
  return (bytes + 15) / 16;
}

/// Checks that `message` fits the communicator, which is not broken, and chooses between the algorithms, as
/// the parameter `algorithm` stores them: 0 for one step, 1 for two. `wanted` is an Algorithm. Throws
/// Error(invalid_argument), which names op, rank, value and bound, and what Communicator::check throws.
[[nodiscard]] std::int32_t choose_algorithm(std::string_view op, const Communicator& communicator,
                                            const Message& message, std::int32_t wanted);

/// The kernel's view of the workspaces. `spec` is the call's, which must be the same on all ranks.
[[nodiscard]] ExchangeArgs exchange_args(std::string_view op, const Communicator& communicator,
                                         const Message& message, const Specialisation& spec);

/// The parameters `world` and `algorithm`.
[[nodiscard]] ParamSpec world_param();
[[nodiscard]] ParamSpec algorithm_param();

/// Blocks of `threads` threads for `work` threads' work, but no more than run at once.
[[nodiscard]] LaunchGeometry resident_grid(const DeviceTraits& device, std::int32_t threads,
                                           std::int64_t blocks) noexcept;

}  // namespace kerncast::comm
