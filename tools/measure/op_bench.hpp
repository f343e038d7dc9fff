#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "tools/measure/device_condition.hpp"
#include "tools/measure/device_session.hpp"
#include "tools/measure/device_timer.hpp"
#include "tools/measure/rounds.hpp"
#include "tools/run/steering_data.hpp"

namespace kerncast::tools {

/// One choice of tunables for a call.
struct Contender {
  enum class Kind : std::uint8_t {
    chosen,    ///< what the runtime chooses: a tuned record, else the op's own choice
    defaults,  ///< the op's own choice
    given,     ///< `tunables`
  };

  Kind kind = Kind::chosen;
  Tunables tunables;
};

/// A call of `rows` rows to be measured with one contender, or with several over the same rounds.
struct BenchRequest {
  const OpDefinition* op = nullptr;
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, double>> scalars;
  std::int64_t rows = 1;
  std::vector<Contender> contenders;
  TimingPolicy timing;
  RoundPolicy rounds;
  SteeringData data;
};

/// The measurement of one contender.
struct BenchTimes {
  KernelReport report;  ///< the kernel; without a key if it could not be prepared
  Measured measured;
};

/// The measurement of one call.
struct BenchResult {
  std::vector<BenchTimes> times;  ///< one for each contender
  RoundsEnd end = RoundsEnd::no_subject;
  TimingPlan plan;
  double bytes = 0;  ///< see DeviceTimer::bytes_moved
  DeviceCondition before;
  DeviceCondition after;
  std::string disturbed;  ///< see disturbance()
  std::string note;       ///< see DeviceTimer::note
};

/// Measures a call. A contender that cannot be compiled or launched gets its defect, and the others go on.
/// Throws Error if the call itself is refused, its tensors do not fit the memory, or the device faults before
/// the rounds. After a fault the session is not healthy, and the caller renews it.
[[nodiscard]] BenchResult bench_call(DeviceSession& session, const DeviceMonitor& monitor,
                                     const BenchRequest& request);

}  // namespace kerncast::tools
