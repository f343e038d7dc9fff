#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/memory/ipc.hpp"

namespace kerncast::simulator::api {

/// One recording of an event: its place in a stream, and when the stream came there.
struct EventRecord {
  Point point;
  std::chrono::steady_clock::time_point time;  ///< set once the point is passed
};

/// An event. All fields but the first four are guarded by the scheduler's mutex.
struct Event {
  CUevent handle = nullptr;
  std::weak_ptr<Context> context;
  unsigned int flags = 0;
  std::shared_ptr<SharedEvent> shared;  ///< of an event that processes share; set once, and used alone then

  std::shared_ptr<EventRecord> record;     ///< null where it was never recorded, or last in a capture
  std::shared_ptr<Capture> capture;        ///< where it was last recorded, if that was a capture
  std::vector<GraphNode*> captured_nodes;  ///< what a wait for it comes after
};

}  // namespace kerncast::simulator::api
