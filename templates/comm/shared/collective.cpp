#include "templates/comm/shared/collective.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "templates/host/checks.hpp"

namespace kerncast::comm {
namespace {

/// The message of one call.
struct Message {
  std::int64_t rows = 0;
  std::int64_t row_bytes = 0;  ///< without padding
  int device = 0;
};

static_assert(sizeof(ExchangeControl) <= CommunicatorMemory::control_bytes);
static_assert(offsetof(ExchangeControl, workspaces) == 0);

/// The value of the parameter `algorithm`: 0 for one step, 1 for two.
std::int32_t choose_algorithm(std::string_view op, const Communicator& communicator, const Message& message,
                              std::int32_t wanted) {
  communicator.check();
  if (message.device != communicator.device()) [[unlikely]] {
    host::refuse_device(op, "x", message.device, "the communicator", communicator.device());
  }
  const auto limit = [&](std::size_t bytes) {
    return static_cast<std::int64_t>(bytes) / 16 / lines_of_row(message.row_bytes);
  };
  const std::int64_t most = limit(communicator.max_bytes());
  if (message.rows > most) [[unlikely]] {
    host::refuse(op, fmt::format("rank {} has {} rows of {} bytes, and the workspace of its communicator "
                                 "(max_bytes = {}) holds {}; make a communicator with more, or call with "
                                 "fewer rows, on all ranks",
                                 communicator.rank(), message.rows, message.row_bytes,
                                 communicator.max_bytes(), most));
  }
  const bool fits_one = message.rows <= limit(communicator.one_shot_bytes());
  if (wanted == 1 && !fits_one) [[unlikely]] {
    host::refuse(
        op, fmt::format("rank {} has {} rows of {} bytes, and its communicator (one_shot_bytes = {}) "
                        "takes {} in one step; use two_shot, on all ranks",
                        communicator.rank(), message.rows, message.row_bytes, communicator.one_shot_bytes(),
                        limit(communicator.one_shot_bytes())));
  }
  if (wanted < 0 || wanted > 2) [[unlikely]] {
    host::refuse_range(op, "algorithm", wanted, 0, 2);
  }
  return wanted == 2 || !fits_one ? 1 : 0;
}

/// The kernel's view of the workspaces. `spec` is the call's, which must be the same on all ranks.
ExchangeArgs exchange_args(std::string_view op, const Communicator& communicator, const Message& message,
                           const Specialisation& spec) {
  const CommunicatorMemory& memory = communicator.memory();
  ExchangeArgs args{};
  std::copy(memory.workspaces.begin(), memory.workspaces.end(), args.workspaces);
  args.report = static_cast<unsigned*>(memory.report);
  args.buffer_bytes = memory.buffer_bytes;
  args.control_bytes = CommunicatorMemory::control_bytes;
  args.timeout_ns = memory.timeout_ns;
  args.rows = message.rows;
  args.rank = communicator.rank();
  // Alignments may differ between ranks, so they stay out of it.
  std::uint32_t digest = 2166136261U;
  const auto mix = [&](std::uint32_t value) { digest = (digest ^ value) * 16777619U; };
  for (const char c : op) {
    mix(static_cast<unsigned char>(c));
  }
  mix(static_cast<std::uint32_t>(message.row_bytes));
  mix(static_cast<std::uint32_t>(spec[0]));
  // The kernel mixes the number of lines in above these 24 bits.
  args.call = (digest & 0x00fffffeU) | 1U;
  return args;
}

}  // namespace

ExchangeArgs join(std::string_view op, const Communicator* communicator, std::int32_t wanted,
                  std::int64_t row_bytes, const ExchangeParams& params, Call& call) {
  call.spec.values[params.world] = 1;
  if (communicator == nullptr) {
    return {};
  }
  const Message message{call.rows, row_bytes, call.device};
  call.spec.values[params.world] = communicator->world();
  call.spec.values[params.algorithm] = choose_algorithm(op, *communicator, message, wanted);
  return exchange_args(op, *communicator, message, call.spec);
}

ParamSpec world_param() {
  return host::integer_param(1, CommunicatorMemory::max_world, 1,
                             "ranks of the communicator; 1: there is no communicator");
}

ParamSpec algorithm_param() {
  return host::choice_param({"one_shot", "two_shot"}, "steps of the exchange; the bits are the same");
}

LaunchGeometry resident_grid(const DeviceTraits& device, std::int32_t threads, std::int64_t blocks) noexcept {
  LaunchGeometry made;
  made.grid[0] =
      static_cast<std::uint32_t>(std::clamp<std::int64_t>(blocks, 1, std::max(1, device.sm_count)));
  made.block[0] = static_cast<std::uint32_t>(threads);
  return made;
}

}  // namespace kerncast::comm
