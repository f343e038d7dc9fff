#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cache/tuning/tuned_record.hpp"
#include "tools/tune/space/point.hpp"
#include "tools/tune/space/space.hpp"
#include "tools/tune/trials/trial.hpp"

namespace kerncast::tools {

/// The conditions that the times of an evaluator depend on, besides the kernel and the row count. Trials
/// under different conditions are never compared. The texts are those of a tuned record.
struct Conditions {
  cache::TunedSource source = cache::TunedSource::estimate;
  std::string device;    ///< "NVIDIA H100 80GB HBM3"; the name of the description for an estimate
  std::string compiler;  ///< "NVRTC 13.0"
  std::string driver;    ///< "580.65"; empty for an estimate
  std::string clocks;    ///< how the clock of the device is set; empty for an estimate
  std::string policy;    ///< how is measured, or "cost model"
  std::string data;      ///< how the data that steer time are drawn; empty if none do
  std::string model;     ///< digest of the model and its description of the device; empty for a measurement
};

/// The candidates that are tried together.
struct EvaluationRequest {
  const Point* point = nullptr;
  std::int64_t rows = 1;
  Candidate own;                      ///< the op's own choice, which is timed in the same rounds
  std::span<const Candidate> others;  ///< may be empty: then the op's own choice is tried alone
  bool is_final = false;              ///< the few that are left: they deserve more rounds
};

/// Tries candidates of a point. Not thread-safe; each device has one of its own.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  [[nodiscard]] virtual Conditions conditions(const Point& point) const = 0;
  /// True if times have no noise, so that one sample decides and nothing need be measured again.
  [[nodiscard]] virtual bool exact() const = 0;
  /// The least time of a call of `rows` rows that the memory of the device allows, in microseconds: the
  /// launches' overhead and each tensor moved once. 0 if the device is not described.
  [[nodiscard]] virtual double bound_us(const Point& point, std::int64_t rows) const = 0;
  /// Begins to compile candidates that will be tried soon, in the order given.
  virtual void prepare(const Point& point, std::span<const Candidate> candidates) = 0;
  /// Tries the op's own choice if there are no others, else the others, each beside the op's own choice.
  /// Returns one trial for each of them, in their order. A candidate that fails is an outcome; Error is
  /// thrown only if the op's own choice cannot be tried. `stop` is asked between candidates; if it is true
  /// the result may lack trials.
  [[nodiscard]] virtual std::vector<Trial> evaluate(const EvaluationRequest& request,
                                                    const std::function<bool()>& stop) = 0;
  /// The times in microseconds that a model expects of `candidates`; empty if there is none.
  [[nodiscard]] virtual std::vector<double> expect(const Point& point,
                                                   std::span<const Candidate> candidates) = 0;
  /// True if the device is gone: it could not be made anew after a fault, and nothing can be tried any more.
  [[nodiscard]] virtual bool lost() const { return false; }
  /// The compiles under way, in words.
  [[nodiscard]] virtual std::vector<std::string> in_flight() const = 0;

 protected:
  Evaluator() = default;
};

/// The outcome of a candidate whose launch failed with `error`.
[[nodiscard]] Outcome outcome_of(const Error& error);

}  // namespace kerncast::tools
