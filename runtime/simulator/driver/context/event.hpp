#pragma once

#include <memory>
#include <vector>

#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/memory/ipc.hpp"

namespace kerncast::simulator::api {

/// One recording of an event: its place in a stream, and the time at which the stream reached it.
struct EventRecord {
  Point point;
  DeviceTime time{};  ///< set once the point is passed
};

/// The time that an event records for a task that has come to `moment`: the device's, or the host's if there
/// is no device clock.
[[nodiscard]] DeviceTime recorded_time(const Context& context, const Moment& moment);

/// An event. All fields but the first four are guarded by the scheduler's mutex.
struct Event {
  CUevent handle = nullptr;
  std::weak_ptr<Context> context;
  unsigned int flags = 0;
  std::shared_ptr<SharedEvent> shared;  ///< set for an event that processes share, which uses nothing else

  std::shared_ptr<EventRecord> record;     ///< null where it was never recorded, or last in a capture
  std::shared_ptr<Capture> capture;        ///< the capture in which it was last recorded, if any
  std::vector<GraphNode*> captured_nodes;  ///< the nodes that a wait for it comes after
};

}  // namespace kerncast::simulator::api
