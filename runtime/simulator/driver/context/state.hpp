#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/devices/device_description.hpp"
#include "runtime/simulator/clock/device_clock.hpp"
#include "runtime/simulator/driver/abi/symbols.hpp"
#include "runtime/simulator/driver/context/device.hpp"
#include "runtime/simulator/driver/context/handles.hpp"
#include "runtime/simulator/driver/context/injected_faults.hpp"
#include "runtime/simulator/machine/grid_link.hpp"
#include "runtime/simulator/machine/memory.hpp"

namespace kerncast::simulator::api {

class SharedPages;
struct Event;
struct Function;
struct Graph;
struct GraphExec;
struct GraphNode;
struct Kernel;
struct Library;
struct LinkState;
struct LoadedModule;
struct Point;
struct Pool;
struct Stream;
struct UserObject;

/// A context. Streams, modules and allocations belong to one, and a fault makes it unusable.
struct Context {
  CUcontext handle = nullptr;
  int device = 0;
  std::uint64_t id = 0;
  unsigned int api_version = 0;  ///< version of the call that made it
  std::atomic<unsigned int> flags{0};
  bool primary = false;
  std::array<std::atomic<std::size_t>, CU_LIMIT_MAX> limits{};
  std::atomic<int> cache_config{0};
  std::atomic<int> shared_config{0};
  std::atomic<std::uint64_t> reachable{0};  ///< other devices whose memory its kernels may reach, a bit each

  // Guarded by the scheduler's mutex.
  bool destroyed = false;
  std::shared_ptr<Stream> legacy;
  std::vector<std::shared_ptr<Stream>> streams;  ///< all of them, `legacy` and draining ones too

  /// The first fault of the context's work; CUDA_SUCCESS while there is none. Later faults are dropped.
  void set_fault(CUresult code, const std::string& message);
  [[nodiscard]] CUresult fault() const { return fault_.load(std::memory_order_acquire); }
  [[nodiscard]] std::string fault_message() const;
  /// Throws Failure with the fault, if there is one.
  void require_no_fault() const;

 private:
  mutable std::mutex fault_mutex_;
  std::atomic<CUresult> fault_{CUDA_SUCCESS};
  std::string fault_message_;
};

/// An allocation that a driver call made, by its base address.
struct Owned {
  enum class Kind : std::uint8_t { device, pinned, registered, managed, imported };
  CUcontext context = nullptr;
  Kind kind = Kind::device;
  bool freeing = false;                 ///< cuMemFreeAsync was called
  unsigned int host_flags = 0;          ///< as given to cuMemHostAlloc or cuMemHostRegister
  std::shared_ptr<Pool> pool;           ///< the pool that it came from, if any
  std::shared_ptr<SharedPages> shared;  ///< set if other processes may open it, or if it was opened from one
  std::pair<int, int> imported_from{-1, -1};  ///< process and descriptor
  unsigned int opened = 0;                    ///< times it was opened
};

/// The strict checks of launches, as KERNCAST_SIM_CHECKS says. With `report` a launch goes on after what they
/// find.
enum class Checks : std::uint8_t { off, on, report };

/// Everything behind the exported functions. Never destroyed, since threads may be at work when the process
/// exits.
struct DriverState {
  std::atomic<bool> initialised{false};
  std::mutex init_mutex;
  int device_count = 0;
  ArchTraits arch{};
  std::size_t total_memory = 0;
  Checks checks = Checks::on;
  Overlap overlap = Overlap::any;  ///< of dependent launches; late with a device clock
  InjectedFaults faults;
  /// The device that all virtual devices stand for, and their clocks. Without KERNCAST_SIM_CLOCK there are
  /// none, and time is the host's.
  const devices::DeviceDescription* clocked = nullptr;
  std::vector<std::unique_ptr<DeviceClock>> clocks;
  [[nodiscard]] DeviceClock* clock(int device) const {
    return clocks.empty() ? nullptr : clocks[static_cast<std::size_t>(device)].get();
  }

  std::atomic<std::uint64_t> slept{
      0};  ///< nanoseconds that kernels slept: the device's clock is ahead by them

  Memory memory;
  std::mutex owned_mutex;
  std::unordered_map<const std::byte*, Owned> owned;

  struct Primary {
    CUcontext handle = nullptr;  ///< stays the same when the context is made anew
    unsigned int retained = 0;
    unsigned int flags = 0;
  };
  std::mutex primary_mutex;
  std::vector<Primary> primaries;  ///< by device

  Handles<CUcontext, Context> contexts;
  Handles<CUstream, Stream> streams;
  Handles<CUevent, Event> events;
  Handles<CUmodule, LoadedModule> modules;
  Handles<CUlibrary, Library> libraries;
  Handles<CUkernel, Kernel> kernels;
  Handles<CUlinkState, LinkState> links;
  Handles<CUfunction, Function> functions;
  Handles<CUgraph, Graph> graphs;
  Handles<CUgraphNode, GraphNode> graph_nodes;
  Handles<CUgraphExec, GraphExec> executables;
  Handles<CUuserObject, UserObject> user_objects;

  struct DevicePools {
    std::shared_ptr<Pool> initial;
    std::shared_ptr<Pool> current;
  };
  std::mutex pools_mutex;
  std::vector<DevicePools> device_pools;  ///< by device
  Handles<CUmemoryPool, Pool> pools;
};

DriverState& state();

/// This thread's current context, faulted or not; null if there is none or it is destroyed.
std::shared_ptr<Context> current_context_if_any();
/// This thread's current context. Throws Failure: CUDA_ERROR_INVALID_CONTEXT if there is none,
/// CUDA_ERROR_CONTEXT_IS_DESTROYED, or the context's fault.
std::shared_ptr<Context> current_context();
/// The present ends of the streams of `context`: all of them, or only those that the legacy default stream
/// waits for.
std::vector<Point> ends_of_streams(const Context& context, bool blocking_only);

}  // namespace kerncast::simulator::api
