#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "kerncast/export.hpp"
#include "kerncast/launch.hpp"
#include "kerncast/runtime.hpp"

/// The group of devices over which the ops of the family `comm` exchange data.
namespace kerncast {

/// Options of a Communicator. All but the rank must be the same on all ranks.
struct CommunicatorOptions {
  int rank = 0;   ///< number of this rank, from 0
  int world = 0;  ///< ranks, from 2 to 8
  /// The largest message of one call, in bytes: rows times the bytes of a row rounded up to 16. It sets the
  /// size of the workspace, which never grows.
  std::size_t max_bytes = std::size_t{8} << 20U;
  /// The largest message that a call sends to every rank at once; a larger one is reduced in two steps. 0:
  /// the threshold that published measurements give for the device and `world`, see
  /// Communicator::one_shot_bytes.
  std::size_t one_shot_bytes = 0;
  /// Time after which a rank gives up the wait for another one. Then the communicator is broken on all ranks.
  std::chrono::milliseconds timeout{30'000};
  /// Gathers `bytes` bytes of every rank of this communicator, in the order of the ranks, into `all`. It is
  /// called twice, by the constructor. Hosts pass the all-gather of the process group whose members the ranks
  /// are, or a barrier and shared memory if the ranks are threads. What it throws the constructor throws.
  std::function<void(const void* mine, std::size_t bytes, void* all)> all_gather;
};

/// The device memory of a communicator, as kernels take it.
struct CommunicatorMemory {
  static constexpr std::size_t max_world = 8;
  /// Bytes at the start of each workspace that hold `workspaces` and counters. Three buffers of
  /// `buffer_bytes` follow.
  static constexpr std::size_t control_bytes = 1024;
  /// The value of each 32-bit word of a buffer that nobody has written.
  static constexpr std::uint32_t empty_word = 0x80000000U;

  std::array<void*, max_world> workspaces{};  ///< of each rank, as addresses of this rank
  void* report = nullptr;                     ///< host memory in which a kernel reports a failure
  std::uint64_t buffer_bytes = 0;
  std::uint64_t timeout_ns = 0;
};

/// One rank's part of a group of 2 to 8 devices that exchange data through each other's memory. The ranks are
/// processes, threads of one process with a device each, or both.
///
/// Collective. The constructors of all ranks wait for each other, and fail alike: with the reason of the
/// first rank that has one. Calls of ops must come in the same order on all ranks, with equal shapes, dtypes
/// and settings. Devices hold ranks to that: a rank that makes another call, or none, breaks the communicator
/// on all ranks in bounded time. What a broken communicator's kernels write is undefined; they end at once.
///
/// Streams. A communicator is used from one stream at a time. The first launch names it; a launch on another
/// one is refused until use_stream() says that the host has ordered the two. Launches that a graph captures
/// are exempt, and so are prepared launches; if replays overlap on the device, that breaks the communicator.
///
/// Graphs. Captured calls may be replayed any number of times: counters on the device tell calls apart, so
/// all ranks must replay as often, in the same order. The communicator must outlive the graph.
///
/// Lifetime. The Runtime must outlive it. It may be destroyed once all ranks' calls have run, since other
/// ranks write to its memory. Any thread may use it, one at a time; check() may be called by all.
class KERNCAST_API Communicator {
 public:
  /// Allocates the workspace on the device whose context is current on this thread, and opens those of the
  /// other ranks. Throws Error(invalid_argument) for options out of range and those that differ between
  /// ranks, Error(unsupported) if a device cannot reach another one's memory, Error(out_of_memory),
  /// Error(driver_error).
  Communicator(Runtime& runtime, const CommunicatorOptions& options);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// The number of this rank, from 0.
  [[nodiscard]] int rank() const noexcept { return rank_; }
  /// The number of ranks.
  [[nodiscard]] int world() const noexcept { return world_; }
  /// CUDA ordinal of the device of this rank.
  [[nodiscard]] int device() const noexcept { return device_; }
  /// CommunicatorOptions::max_bytes.
  [[nodiscard]] std::size_t max_bytes() const noexcept { return max_bytes_; }
  /// The largest message that is sent in one step. The default is sglang's measured bound of the one-shot
  /// push all-reduce (ops/communication/all_reduce.py): for 2 to 8 ranks 2048, 512, 384, 256, 192, 192 and
  /// 160 KiB, which it has for the H200; from sm_100 on 4096, 4096, 2048, 2048, 1024, 896 and 720 KiB, for
  /// the B200.
  [[nodiscard]] std::size_t one_shot_bytes() const noexcept { return one_shot_bytes_; }
  /// Bytes of device memory that this rank holds.
  [[nodiscard]] std::size_t workspace_bytes() const noexcept;
  /// The memory of the ranks as this one reaches it, for the ops.
  [[nodiscard]] const CommunicatorMemory& memory() const noexcept { return memory_; }

  /// Throws if a kernel has reported a failure: Error(driver_error) if a rank did not come in time, and
  /// Error(invalid_argument) if ranks made different calls or launches overlapped. It reads host memory alone
  /// and waits for nothing, so call it after a synchronisation. The check of a call's arguments calls it as
  /// well.
  void check() const;
  /// Says that launches come on `stream` from now on, after what was launched before.
  void use_stream(Stream stream) noexcept;
  /// Called before a launch on `stream`. Throws Error(invalid_argument), which names `op`, if the
  /// communicator is in use on another stream.
  void enter(std::string_view op, Stream stream);

 private:
  struct Links;

  int rank_;
  int world_;
  int device_ = 0;
  std::size_t max_bytes_;
  std::size_t one_shot_bytes_ = 0;
  CommunicatorMemory memory_;
  std::atomic<Stream> stream_{nullptr};
  std::atomic<bool> has_stream_{false};
  std::unique_ptr<Links> links_;
};

/// A typed call that may exchange data: its struct has a member `communicator`.
template <class Arguments>
concept CollectiveCall = TypedCall<Arguments> && requires(const Arguments& arguments) {
  { arguments.communicator } -> std::convertible_to<Communicator*>;
};

/// kerncast::launch of such a call, which also holds the communicator to one stream.
template <CollectiveCall Arguments>
void launch(Runtime& runtime, const Arguments& arguments, Stream stream) {
  const Call call = bind(arguments);
  if (arguments.communicator != nullptr) {
    arguments.communicator->enter(Arguments::op_name, stream);
  }
  runtime.dispatch(definition_of<Arguments>(), call, stream);
}

}  // namespace kerncast
