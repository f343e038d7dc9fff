#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kerncast/runtime.hpp"
#include "runtime/devices/device_description.hpp"
#include "tools/measure/device_condition.hpp"
#include "tools/measure/device_session.hpp"
#include "tools/measure/device_timer.hpp"
#include "tools/run/steering_data.hpp"
#include "tools/tune/evaluate/candidate_compiler.hpp"
#include "tools/tune/evaluate/evaluator.hpp"

namespace kerncast::tools {

/// The effort that is spent on measuring candidates.
struct MeasuringPolicy {
  TimingPolicy timing;
  RoundPolicy search;  ///< of candidates that are tried
  RoundPolicy last;    ///< of the few that are measured again
  /// The setting of the device's clock, for the key of the trials. Empty: as NVML says, else "as found".
  std::string clocks;
  SteeringData data;       ///< how expert ids and masks are drawn
  std::uint64_t seed = 1;  ///< of these data
};

/// Measures candidates on a device, each in the same rounds as the op's own choice. A candidate whose launch
/// fails costs the context, which is made anew; the others of its batch are measured one by one then.
class MeasuredEvaluator final : public Evaluator {
 public:
  /// Called before each launch that may not end, with the candidate, and with null when all have ended.
  using Watch = std::function<void(const EvaluationRequest& request, const Candidate* candidate)>;

  /// Opens device `ordinal` of the driver that `options` name. `compiler` compiles into the cache that these
  /// options name too. `description` may be null: then there is no bound, and no candidate is left out for
  /// its occupancy. `compiler` and `description` must outlive the object. `nvrtc` is the version of the
  /// compiler, as "13.0". Throws Error as DeviceSession does.
  MeasuredEvaluator(RuntimeOptions options, int ordinal, CandidateCompiler& compiler,
                    const devices::DeviceDescription* description, const std::string& nvrtc,
                    MeasuringPolicy policy);
  ~MeasuredEvaluator() override;

  /// Makes an evaluator whose expectations serve as the model of the device.
  using MakeModel = std::function<std::unique_ptr<Evaluator>()>;

  /// Sets who is told of launches. Kernels are compiled and loaded before that.
  void set_watch(Watch watch) { watch_ = std::move(watch); }
  /// Sets the model. It is made and used on a thread of its own, since a context belongs to a thread and the
  /// model may use another device or driver.
  void set_model(MakeModel make_model) { make_model_ = std::move(make_model); }
  [[nodiscard]] Conditions conditions(const Point& point) const override;
  [[nodiscard]] bool exact() const override { return false; }
  [[nodiscard]] double bound_us(const Point& point, std::int64_t rows) const override;
  void prepare(const Point& point, std::span<const Candidate> candidates) override;
  [[nodiscard]] std::vector<Trial> evaluate(const EvaluationRequest& request,
                                            const std::function<bool()>& stop) override;
  [[nodiscard]] std::vector<double> expect(const Point& point,
                                           std::span<const Candidate> candidates) override;
  [[nodiscard]] std::vector<std::string> in_flight() const override { return compiler_.in_flight(); }
  [[nodiscard]] bool lost() const override { return lost_; }

 private:
  struct Prepared;
  class Watched;
  [[nodiscard]] DeviceTimer& timer(const Point& point, std::int64_t rows);
  /// Forgets the call, and makes the context anew if it has faulted.
  void recover();
  /// Leaves out what is not fit. The trial is `timed` if it may be.
  [[nodiscard]] Trial examine(const EvaluationRequest& request, const Candidate& candidate);
  /// The reason why the outputs of a candidate are wrong; empty if they are those of the default.
  [[nodiscard]] std::string difference(const EvaluationRequest& request, const Candidate& candidate);
  /// `subject`, whose samples are watched.
  [[nodiscard]] Subject watched(const EvaluationRequest& request, const Candidate& candidate,
                                Subject subject);
  /// Measures the subjects, and once more if the clock of the device was disturbed meanwhile.
  [[nodiscard]] std::vector<Measured> measure_undisturbed(const std::vector<Subject>& subjects,
                                                          const RoundPolicy& rounds) const;
  /// Measures these candidates in the same rounds. False if one of them failed.
  [[nodiscard]] bool measure(const EvaluationRequest& request, const std::vector<Prepared>& together,
                             const std::function<bool()>& stop);
  void watch(const EvaluationRequest& request, const Candidate* candidate) const;

  CandidateCompiler& compiler_;
  const devices::DeviceDescription* description_;
  MeasuringPolicy policy_;
  Watch watch_;
  MakeModel make_model_;
  Conditions conditions_;
  DeviceSession session_;
  std::unique_ptr<DeviceMonitor> monitor_;
  bool lost_ = false;
  /// The call that was measured last, and the default's outputs once they are known.
  std::string call_;
  std::unique_ptr<DeviceTimer> timer_;
  std::vector<StoredTensor> own_outputs_;
  bool reproducible_ = true;  ///< the default writes the same bytes each time
};

}  // namespace kerncast::tools
