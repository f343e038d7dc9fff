#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kerncast/communicator.hpp"
#include "kerncast/op_definition.hpp"
#include "templates/comm/shared/exchange_args.h"

/// The host side that the ops share which exchange rows through a communicator.
namespace kerncast::comm {

/// Lines of 16 bytes of a row of `bytes` bytes.
[[nodiscard]] constexpr std::int64_t lines_of_row(std::int64_t bytes) noexcept {
  return (bytes + 15) / 16;
}

/// The parameters of an op that exchanges rows.
struct ExchangeParams {
  std::size_t world;
  std::size_t algorithm;
};

/// Takes a call, complete but for its kernel's arguments, of rows of `row_bytes` bytes to the communicator:
/// checks that they fit it and that it is not broken, fills in the parameters, and returns the kernel's view
/// of the workspaces. `wanted` is an Algorithm. Without a communicator the world is one rank. Throws
/// Error(invalid_argument), which names op, rank, value and bound, and what Communicator::check throws.
[[nodiscard]] ExchangeArgs join(std::string_view op, const Communicator* communicator, std::int32_t wanted,
                                std::int64_t row_bytes, const ExchangeParams& params, Call& call);

/// The parameters `world` and `algorithm`.
[[nodiscard]] ParamSpec world_param();
[[nodiscard]] ParamSpec algorithm_param();

/// `blocks` blocks of `threads` threads, but no more than run at once.
[[nodiscard]] LaunchGeometry resident_grid(const DeviceTraits& device, std::int32_t threads,
                                           std::int64_t blocks) noexcept;

}  // namespace kerncast::comm
