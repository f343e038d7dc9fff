#include "tools/tune/evaluate/estimate_evaluator.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/run/steering_data.hpp"
#include "tools/tune/evaluate/fitness.hpp"
#include "tools/tune/evaluate/model_digest.hpp"
#include "tools/tune/space/call_shape.hpp"

namespace kerncast::tools {
namespace {

/// Results are compared at so many rows at most: the work of a row is the same in a longer call.
constexpr std::int64_t most_checked_rows = 32;

}  // namespace

/// A runtime on the virtual GPU and what was made on it.
struct EstimateEvaluator::Seat {
  Seat(std::unique_ptr<Runtime> made, const devices::DeviceDescription& description)
      : runtime(std::move(made)),
        device(*runtime, 0),
        loaded(implementation_of(*runtime).device(device.ordinal())),
        sweep(*runtime, device, description.arch, traits_of(description)),
        check(*runtime, device) {}
  ~Seat() { loaded.unload(); }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  std::unique_ptr<Runtime> runtime;
  RunDevice device;
  DeviceState& loaded;  ///< has the kernels
  TunablesSweep sweep;
  ResultCheck check;
};

EstimateEvaluator::EstimateEvaluator(MakeRuntime make_runtime, CandidateCompiler& compiler,
                                     const devices::DeviceDescription& device, std::string nvrtc)
    : make_runtime_(std::move(make_runtime)),
      compiler_(compiler),
      device_(device),
      model_(model_digest(device)),
      nvrtc_(std::move(nvrtc)) {}

EstimateEvaluator::~EstimateEvaluator() = default;

EstimateEvaluator::Seat& EstimateEvaluator::seat(const Point& point) {
  const std::string wanted = text_of(point.workload);
  if (seat_ == nullptr || seated_ != wanted) {
    seat_.reset();
    seat_ = std::make_unique<Seat>(make_runtime_(), device_);
    seated_ = wanted;
  }
  return *seat_;
}

Conditions EstimateEvaluator::conditions(const Point& point) const {
  Conditions conditions;
  conditions.source = cache::TunedSource::estimate;
  conditions.device = device_.name;
  conditions.compiler = nvrtc_.empty() ? std::string() : "NVRTC " + nvrtc_;
  conditions.policy = "cost model";
  conditions.model = model_;
  conditions.data = steering_tensors(point.op()).empty() ? "" : "uniform";
  return conditions;
}

double EstimateEvaluator::bound_us(const Point& point, std::int64_t rows) const {
  return memory_bound_us(point, rows, device_);
}

void EstimateEvaluator::prepare(const Point& point, std::span<const Candidate> candidates) {
  compiler_.prepare(point, candidates);
}

std::vector<Trial> EstimateEvaluator::evaluate(const EvaluationRequest& request,
                                               const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  const Point& point = *request.point;
  const std::span<const Candidate> wanted =
      request.others.empty() ? std::span<const Candidate>(&request.own, 1) : request.others;
  std::vector<Trial> trials;
  std::vector<Candidate> fit = {request.own};
  for (const Candidate& candidate : wanted) {
    if (stop()) {
      break;
    }
    trials.push_back(examine(request, candidate));
    if (trials.back().outcome == Outcome::timed) {
      fit.push_back(candidate);
    }
  }
  estimate(point, request.rows, fit, stop);
  const Known* own = find(point, request.rows, request.own);
  for (std::size_t i = 0; i < trials.size(); ++i) {
    Trial& trial = trials[i];
    if (trial.outcome == Outcome::timed) {
      const Known* found = find(point, request.rows, wanted[i]);
      if (found == nullptr || own == nullptr) {
        return {};
      }
      const Known& known = *found;
      trial.outcome = known.outcome;
      trial.why = known.why;
      if (known.outcome == Outcome::timed) {
        trial.samples_us = {known.us};
      }
      if (known.outcome == Outcome::timed && own->outcome == Outcome::timed &&
          wanted[i].text != request.own.text) {
        trial.default_us = {own->us};
      }
    }
    trial.at_us = now_us();
    trial.took_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count() /
        static_cast<double>(trials.size());
  }
  return trials;
}

namespace {

/// A row count at which the results of the kernels of `point` are compared, a small one if it gives the same
/// specialisation.
std::int64_t checked_rows(const Point& point, std::int64_t rows) {
  const std::int64_t few = std::min(rows, most_checked_rows);
  try {
    return call_of(point.workload, few).spec == point.spec ? few : rows;
  } catch (const Error&) {
    return rows;
  }
}

}  // namespace

Trial EstimateEvaluator::examine(const EvaluationRequest& request, const Candidate& candidate) {
  const Point& point = *request.point;
  Trial trial;
  trial.tunables = candidate.text;
  const Compiled own = compiler_.take(point, request.own);
  const Compiled compiled = candidate.text == request.own.text ? own : compiler_.take(point, candidate);
  trial.registers = compiled.registers;
  trial.spill_bytes = compiled.spill_bytes;
  if (const std::optional<Unfit> unfit =
          unfitness(point, request.rows, &device_, candidate, compiled, request.own, own)) {
    trial.outcome = unfit->outcome;
    trial.why = unfit->why;
    return trial;
  }
  try {
    trial.why =
        seat(point).check.difference(point, checked_rows(point, request.rows), candidate, request.own);
    trial.outcome = trial.why.empty() ? Outcome::timed : Outcome::wrong_result;
  } catch (const Error& error) {
    // The context may be unusable after a fault, so the next trial gets another.
    seat_.reset();
    trial.outcome = outcome_of(error);
    trial.why = error.what();
  }
  return trial;
}

const EstimateEvaluator::Known* EstimateEvaluator::find(const Point& point, std::int64_t rows,
                                                        const Candidate& candidate) const {
  const auto known = known_.find(name_of_call(point, rows, candidate));
  return known == known_.end() ? nullptr : &known->second;
}

void EstimateEvaluator::estimate(const Point& point, std::int64_t rows, std::span<const Candidate> candidates,
                                 const std::function<bool()>& stop) {
  std::vector<const Candidate*> wanted;
  std::vector<Tunables> tunables;
  for (const Candidate& candidate : candidates) {
    if (find(point, rows, candidate) == nullptr) {
      wanted.push_back(&candidate);
      tunables.push_back(candidate.tunables);
    }
  }
  try {
    const std::vector<Counted> counted = seat(point).sweep.count(point.workload, rows, tunables, stop);
    for (std::size_t i = 0; i < counted.size(); ++i) {
      known_[name_of_call(point, rows, *wanted[i])] = known_of(counted[i]);
    }
  } catch (const Error& error) {
    seat_.reset();
    if (wanted.size() == 1) {
      known_[name_of_call(point, rows, *wanted.front())] = {0, outcome_of(error), error.what()};
      return;
    }
    for (const Candidate* candidate : wanted) {
      if (!stop()) {
        estimate(point, rows, {candidate, 1}, stop);
      }
    }
  }
}

std::string EstimateEvaluator::name_of_call(const Point& point, std::int64_t rows,
                                            const Candidate& candidate) {
  return fmt::format("{} [{}] {} {} {}", point.op().name, point.spec_text,
                     fmt::join(point.workload.scalars, " "), rows, candidate.text);
}

EstimateEvaluator::Known EstimateEvaluator::known_of(const Counted& counted) const {
  if (!counted.defect.empty()) {
    return {0, Outcome::does_not_compile, counted.defect};
  }
  const double us = estimate_call(counted, device_).total_us;
  if (!std::isfinite(us)) {
    return {0, Outcome::does_not_compile, "a block needs more than a multiprocessor has"};
  }
  return {us, Outcome::timed, {}};
}

std::vector<double> EstimateEvaluator::expect(const Point& point, std::span<const Candidate> candidates) {
  prepare(point, candidates);
  std::vector<Candidate> compiled;
  for (const Candidate& candidate : candidates) {
    if (compiler_.take(point, candidate).error.empty()) {
      compiled.push_back(candidate);
    }
  }
  estimate(point, point.rows, compiled, [] { return false; });
  std::vector<double> expected;
  for (const Candidate& candidate : candidates) {
    const Known* known = find(point, point.rows, candidate);
    const bool timed = known != nullptr && known->outcome == Outcome::timed;
    expected.push_back(timed ? known->us : std::numeric_limits<double>::infinity());
  }
  return expected;
}

std::string EstimateEvaluator::explain(const Point& point, const Candidate& candidate) {
  const std::vector<Counted> counted =
      seat(point).sweep.count(point.workload, point.rows, {{candidate.tunables}});
  return explain_call(counted.front(), device_);
}

double memory_bound_us(const Point& point, std::int64_t rows, const devices::DeviceDescription& device) {
  const CallBytes bytes = bytes_of_call(point.workload, rows);
  return device.launch_overhead_us +
         static_cast<double>(bytes.read + bytes.written) / (device.memory_gb_per_s * 1e3);
}

}  // namespace kerncast::tools
