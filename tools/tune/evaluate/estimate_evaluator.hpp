#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "kerncast/runtime.hpp"
#include "runtime/devices/device_description.hpp"
#include "tools/run/op_run.hpp"
#include "tools/tune/evaluate/candidate_compiler.hpp"
#include "tools/tune/evaluate/evaluator.hpp"
#include "tools/tune/evaluate/result_check.hpp"
#include "tools/tune/space/tunables_sweep.hpp"

namespace kerncast::tools {

/// Times candidates by the exact counts of the virtual GPU and the cost model of a described device: the
/// same on every machine, an estimate and never a measurement.
class EstimateEvaluator final : public Evaluator {
 public:
  /// Makes a runtime on the virtual GPU. It is called again after a launch failed, for a fresh context.
  using MakeRuntime = std::function<std::unique_ptr<Runtime>()>;

  /// `compiler` compiles into the cache that the runtimes of `make_runtime` read; it must outlive the object.
  /// `nvrtc` is the version of the compiler, as "13.0"; empty if there is none.
  EstimateEvaluator(MakeRuntime make_runtime, CandidateCompiler& compiler,
                    const devices::DeviceDescription& device, std::string nvrtc);
  ~EstimateEvaluator() override;

  [[nodiscard]] Conditions conditions(const Point& point) const override;
  [[nodiscard]] bool exact() const override { return true; }
  [[nodiscard]] double bound_us(const Point& point, std::int64_t rows) const override;
  void prepare(const Point& point, std::span<const Candidate> candidates) override;
  [[nodiscard]] std::vector<Trial> evaluate(const EvaluationRequest& request,
                                            const std::function<bool()>& stop) override;
  [[nodiscard]] std::vector<double> expect(const Point& point,
                                           std::span<const Candidate> candidates) override;
  /// The reason for the estimate of a candidate, in words: what holds up its longest launch, and how that
  /// launch is divided. Throws Error if it cannot be counted.
  [[nodiscard]] std::string explain(const Point& point, const Candidate& candidate);
  [[nodiscard]] std::vector<std::string> in_flight() const override { return compiler_.in_flight(); }

 private:
  struct Seat;
  /// The seat for the kernels of `point`. Those of another workload are unloaded with their seat, since a
  /// runtime keeps what it has loaded.
  [[nodiscard]] Seat& seat(const Point& point);
  /// The trial of a candidate, without its time: it is timed if it may be.
  [[nodiscard]] Trial examine(const EvaluationRequest& request, const Candidate& candidate);
  /// Estimates these candidates, all at once if no launch fails, until `stop` is true.
  void estimate(const Point& point, std::int64_t rows, std::span<const Candidate> candidates,
                const std::function<bool()>& stop);

  /// The estimate of a candidate, or why there is none.
  struct Known {
    double us = 0;
    Outcome outcome = Outcome::timed;
    std::string why;
  };
  /// Null if the candidate was not estimated yet.
  [[nodiscard]] const Known* find(const Point& point, std::int64_t rows, const Candidate& candidate) const;
  [[nodiscard]] static std::string name_of_call(const Point& point, std::int64_t rows,
                                                const Candidate& candidate);
  [[nodiscard]] Known known_of(const Counted& counted) const;

  MakeRuntime make_runtime_;
  CandidateCompiler& compiler_;
  const devices::DeviceDescription& device_;
  std::string model_;  ///< digest of what the cost model says of the device
  std::string nvrtc_;
  std::unique_ptr<Seat> seat_;
  std::string seated_;  ///< the workload that seat_ is for
  std::map<std::string, Known> known_;
};

/// The least time of a call of `rows` rows of `point` on `device`: one launch, and each tensor moved once.
[[nodiscard]] double memory_bound_us(const Point& point, std::int64_t rows,
                                     const devices::DeviceDescription& device);

}  // namespace kerncast::tools
