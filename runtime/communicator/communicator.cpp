#include "kerncast/communicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "runtime/communicator/peer_api.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/context.hpp"
#include "runtime/driver/driver_error.hpp"

namespace kerncast {
namespace {

constexpr std::size_t line = 16;
constexpr std::size_t text_bytes = 232;
constexpr std::size_t page = 4096;
constexpr unsigned int portable_and_mapped = 3;

/// Text of a fixed size, which ranks exchange.
struct Text {
  void set(std::string_view text) { text.substr(0, text_bytes - 1).copy(chars, text_bytes - 1); }
  [[nodiscard]] bool empty() const { return chars[0] == 0; }
  char chars[text_bytes] = {};
};

/// The account that a rank gives of itself.
struct Introduction {
  std::uint64_t process = 0;  ///< a number that no other process has
  std::int32_t rank = 0;
  std::int32_t world = 0;
  std::uint64_t max_bytes = 0;
  std::uint64_t one_shot_bytes = 0;
  std::uint64_t address = 0;
  std::uint64_t context = 0;
  std::int32_t device = 0;
  std::int32_t code = 0;  ///< ErrorCode of `defect`
  driver::PeerApi::Handle handle{};
  Text not_shared;  ///< the reason why there is no handle
  Text defect;      ///< the reason why this rank cannot take part
};
static_assert(std::is_trivially_copyable_v<Introduction>);

/// The outcome of opening the others' workspaces.
struct Opened {
  std::int32_t code = 0;
  Text defect;
};

std::uint64_t number_of_this_process() {
  static const std::uint64_t number = [] {
    std::random_device source;
    return std::uint64_t{source()} << 32U | source();
  }();
  return number;
}

/// KiB for 2 to 8 ranks; see Communicator::one_shot_bytes.
std::size_t published_one_shot_bytes(int sm, int world) {
  constexpr std::array<std::size_t, 7> h200 = {2048, 512, 384, 256, 192, 192, 160};
  constexpr std::array<std::size_t, 7> b200 = {4096, 4096, 2048, 2048, 1024, 896, 720};
  return (sm >= 100 ? b200 : h200).at(static_cast<std::size_t>(world - 2)) << 10U;
}

std::string name_of_rank(int rank) {
  return fmt::format("Communicator of rank {}", rank);
}

/// The first reason why the ranks do not fit together, which all of them find alike.
void require_agreement(int rank, const std::vector<Introduction>& all) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Introduction& other = all[i];
    if (!other.defect.empty()) {
      throw Error(static_cast<ErrorCode>(other.code),
                  fmt::format("{}: rank {} cannot take part: {}", name_of_rank(rank), i, other.defect.chars));
    }
  }
  const auto differs = [&](std::size_t i, std::string_view what, auto value, auto expected) {
    if (value != expected) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("{}: the {} of rank {} is {}, and that of rank 0 is {}; give all ranks the same",
                      name_of_rank(rank), what, i, value, expected));
    }
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].rank != static_cast<int>(i)) {
      throw Error(ErrorCode::invalid_argument,
                  fmt::format("{}: all_gather gave what rank {} sent as that of rank {}; it must be in the "
                              "order of the communicator's ranks",
                              name_of_rank(rank), all[i].rank, i));
    }
    differs(i, "world", all[i].world, all[0].world);
    differs(i, "max_bytes", all[i].max_bytes, all[0].max_bytes);
    differs(i, "one_shot_bytes", all[i].one_shot_bytes, all[0].one_shot_bytes);
  }
}

}  // namespace

struct Communicator::Links {
  explicit Links(Runtime& runtime)
      : driver(implementation_of(runtime).driver()), api(driver.api), peers(driver::load_peer_api(driver)) {
    driver::check(api, api.cuCtxGetCurrent(&context), "asking for the current context");
  }
  ~Links() {
    if (api.cuCtxPushCurrent(context) != driver::CUDA_SUCCESS) {
      return;
    }
    for (const driver::CUdeviceptr address : imported) {
      peers.close(address);
    }
    if (workspace != 0) {
      api.cuMemFree(workspace);
    }
    if (report != nullptr) {
      api.cuMemFreeHost(report);
    }
    api.cuCtxPopCurrent(&context);
  }
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// Allocates memory that no rank has written to.
  void allocate(std::size_t buffer_bytes) {
    const std::size_t bytes = CommunicatorMemory::control_bytes + 3 * buffer_bytes;
    driver::check(api, api.cuMemAlloc(&workspace, bytes),
                  fmt::format("allocating a workspace of {} bytes", bytes));
    workspace_bytes = bytes;
    driver::check(api, api.cuMemHostAlloc(&report, page, portable_and_mapped), "allocating pinned memory");
    std::memset(report, 0, page);
    driver::check(api, api.cuMemsetD8(workspace, 0, CommunicatorMemory::control_bytes), "clearing counters");
    driver::check(api,
                  api.cuMemsetD32(workspace + CommunicatorMemory::control_bytes,
                                  CommunicatorMemory::empty_word, 3 * buffer_bytes / 4),
                  "clearing the workspace");
    driver::check(api, api.cuCtxSynchronize(), "clearing the workspace");
  }

  /// The address of another rank's workspace. Throws Error(unsupported) if this device cannot reach it.
  driver::CUdeviceptr open(const Introduction& own, int rank, const Introduction& other) {
    if (other.process != own.process) {
      if (!other.not_shared.empty()) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("rank {} cannot share its workspace: {}", rank, other.not_shared.chars));
      }
      driver::CUdeviceptr address = 0;
      constexpr unsigned int lazy_peer_access = 1;
      driver::check(api, peers.open(&address, other.handle, lazy_peer_access),
                    fmt::format("opening the workspace of rank {} by CUDA IPC", rank));
      imported.push_back(address);
      return address;
    }
    if (other.context != own.context) {
      int can = 0;
      driver::check(api, peers.can_access(&can, own.device, other.device), "asking for peer access");
      if (can == 0) {
        throw Error(ErrorCode::unsupported, fmt::format("device {} cannot access device {} of rank {}",
                                                        own.device, other.device, rank));
      }
      const driver::CUresult enabled =
          peers.enable(reinterpret_cast<driver::CUcontext>(other.context), 0);  // NOLINT
      if (enabled != driver::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) {
        driver::check(api, enabled, fmt::format("enabling access to the device of rank {}", rank));
      }
    }
    return other.address;
  }

  const driver::Driver& driver;
  const driver::DriverApi& api;
  driver::PeerApi peers;
  driver::CUcontext context = nullptr;
  driver::CUdeviceptr workspace = 0;
  std::size_t workspace_bytes = 0;
  void* report = nullptr;
  std::vector<driver::CUdeviceptr> imported;
};

Communicator::Communicator(Runtime& runtime, const CommunicatorOptions& options)
    : rank_(options.rank), world_(options.world), max_bytes_(options.max_bytes) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::invalid_argument, fmt::format("{}: {}", name_of_rank(rank_), what));
  };
  // Without these a rank cannot tell the others of its defect.
  if (world_ < 2 || world_ > static_cast<int>(CommunicatorMemory::max_world)) {
    refuse(fmt::format("world is {}, but must be from 2 to {}", world_, CommunicatorMemory::max_world));
  }
  if (!options.all_gather) {
    refuse("all_gather is empty, and the ranks need it to exchange the handles of their workspaces");
  }

  Introduction own;
  own.rank = rank_;
  own.world = world_;
  own.process = number_of_this_process();
  own.max_bytes = max_bytes_;
  try {
    if (rank_ < 0 || rank_ >= world_) {
      refuse(fmt::format("rank is {}, but must be from 0 to {}", rank_, world_ - 1));
    }
    constexpr std::size_t most = std::size_t{1} << 36U;
    if (max_bytes_ < line || max_bytes_ > most) {
      refuse(fmt::format("max_bytes is {}, but must be from {} to {}", max_bytes_, line, most));
    }
    if (options.timeout.count() < 1) {
      refuse(fmt::format("timeout is {} ms, but must be at least 1", options.timeout.count()));
    }
    links_ = std::make_unique<Links>(runtime);
    driver::check(links_->api, links_->api.cuCtxGetDevice(&device_), "asking for the current device");
    const auto ranks = static_cast<std::size_t>(world_);
    const std::size_t lines = (max_bytes_ + line - 1) / line;
    one_shot_bytes_ =
        std::min(options.one_shot_bytes > 0 ? options.one_shot_bytes
                                            : published_one_shot_bytes(runtime.traits(device_).sm, world_),
                 lines * line);
    // One step needs a place for each rank's message; two need a place for each rank's part and the result.
    const std::size_t one_step = ranks * ((one_shot_bytes_ + line - 1) / line);
    const std::size_t two_steps = ranks * ((lines + ranks - 1) / ranks) + lines;
    memory_.buffer_bytes = std::max(one_step, two_steps) * line;
    memory_.timeout_ns = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(options.timeout).count());
    links_->allocate(memory_.buffer_bytes);
    own.one_shot_bytes = one_shot_bytes_;
    own.address = links_->workspace;
    own.context = reinterpret_cast<std::uint64_t>(links_->context);
    own.device = device_;
    try {
      driver::check(links_->api, links_->peers.share(&own.handle, links_->workspace), "sharing by CUDA IPC");
    } catch (const Error& error) {
      own.not_shared.set(error.what());
    }
  } catch (const Error& error) {
    own.code = static_cast<std::int32_t>(error.code());
    own.defect.set(error.what());
  }

  std::vector<Introduction> all(static_cast<std::size_t>(world_));
  options.all_gather(&own, sizeof own, all.data());
  require_agreement(rank_, all);

  Opened opened;
  try {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const bool is_own = static_cast<int>(i) == rank_;
      const driver::CUdeviceptr address =
          is_own ? links_->workspace : links_->open(own, static_cast<int>(i), all[i]);
      memory_.workspaces[i] = reinterpret_cast<void*>(address);  // NOLINT
    }
    driver::check(
        links_->api,
        links_->api.cuMemcpyHtoD(links_->workspace, memory_.workspaces.data(), sizeof memory_.workspaces),
        "writing the addresses of the workspaces");
  } catch (const Error& error) {
    opened.code = static_cast<std::int32_t>(error.code());
    opened.defect.set(error.what());
  }
  memory_.report = links_->report;
  std::vector<Opened> outcomes(all.size());
  options.all_gather(&opened, sizeof opened, outcomes.data());
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i].defect.empty()) {
      throw Error(static_cast<ErrorCode>(outcomes[i].code),
                  fmt::format("{}: rank {} cannot reach the others: {}", name_of_rank(rank_), i,
                              outcomes[i].defect.chars));
    }
  }
}

Communicator::~Communicator() = default;

std::size_t Communicator::workspace_bytes() const noexcept {
  return links_->workspace_bytes;
}

void Communicator::check() const {
  auto* words = static_cast<std::uint32_t*>(memory_.report);
  const std::uint32_t report = std::atomic_ref(*words).load(std::memory_order_acquire);
  if (report == 0) {
    return;
  }
  const std::uint32_t code = report & 0xffU;
  const std::uint32_t peer = report >> 8U & 0xffU;
  const std::uint32_t witness = report >> 16U & 0xffU;
  const std::string broken = "; the communicator is broken on all ranks and must be made anew";
  if (code == 1) {
    throw Error(ErrorCode::driver_error,
                fmt::format("{}: rank {} did not come to a call within {} ms, for which rank {} waited{}",
                            name_of_rank(rank_), peer, memory_.timeout_ns / 1'000'000, witness, broken));
  }
  if (code == 2) {
    throw Error(
        ErrorCode::invalid_argument,
        fmt::format("{}: rank {} made another call than rank {}; op, rows, width, dtype and algorithm of "
                    "each call must be the same on all ranks{}",
                    name_of_rank(rank_), peer, witness, broken));
  }
  throw Error(ErrorCode::invalid_argument,
              fmt::format("{}: launches of rank {} overlapped; its communicator was used from two streams at "
                          "once{}",
                          name_of_rank(rank_), witness, broken));
}

void Communicator::use_stream(Stream stream) noexcept {
  stream_.store(stream, std::memory_order_relaxed);
  has_stream_.store(true, std::memory_order_relaxed);
}

void Communicator::enter(std::string_view op, Stream stream) {
  if (has_stream_.load(std::memory_order_relaxed) && stream_.load(std::memory_order_relaxed) == stream) {
    return;
  }
  driver::CUstreamCaptureStatus status = driver::CU_STREAM_CAPTURE_STATUS_NONE;
  auto* queue = static_cast<driver::CUstream>(stream);
  driver::check(links_->api, links_->api.cuStreamIsCapturing(queue, &status), "asking for a capture");
  if (status != driver::CU_STREAM_CAPTURE_STATUS_NONE) {
    return;
  }
  if (has_stream_.load(std::memory_order_relaxed)) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{}: the communicator of rank {} is in use on another stream; a communicator has "
                            "one stream at a time: order the two and call use_stream, or make a second "
                            "communicator",
                            op, rank_));
  }
  use_stream(stream);
}

}  // namespace kerncast
