#include "tools/tune/evaluate/measured_evaluator.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "runtime/dispatch/runtime_impl.hpp"
#include "runtime/driver/cuda_types.hpp"
#include "runtime/driver/device.hpp"
#include "tools/tune/evaluate/estimate_evaluator.hpp"
#include "tools/tune/evaluate/fitness.hpp"
#include "tools/tune/evaluate/outputs_difference.hpp"

namespace kerncast::tools {
namespace {

/// The version of the driver, or of CUDA where only that is known.
std::string driver_text(const DeviceMonitor& monitor, int cuda_version) {
  const std::string version = monitor.driver_version();
  return version.empty() ? fmt::format("CUDA {}.{}", cuda_version / 1000, cuda_version % 1000 / 10) : version;
}

std::string rounds_text(const RoundPolicy& policy) {
  return fmt::format("{} to {} until {:g} %", policy.least_rounds, policy.most_rounds, 100 * policy.width);
}

std::string clocks_text(const DeviceMonitor& monitor, const std::string& given) {
  const std::string seen = given.empty() ? monitor.clock_policy() : given;
  return seen.empty() ? "as found" : seen;
}

}  // namespace

/// A candidate that is to be measured, and where its trial is.
struct MeasuredEvaluator::Prepared {
  const Candidate* candidate = nullptr;
  Trial* trial = nullptr;
};

/// Says that a candidate is launched while the object lives.
class MeasuredEvaluator::Watched {
 public:
  Watched(const MeasuredEvaluator& evaluator, const EvaluationRequest& request, const Candidate& candidate)
      : evaluator_(evaluator), request_(request) {
    evaluator_.watch(request_, &candidate);
  }
  ~Watched() { evaluator_.watch(request_, nullptr); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

 private:
  const MeasuredEvaluator& evaluator_;
  const EvaluationRequest& request_;
};

MeasuredEvaluator::MeasuredEvaluator(RuntimeOptions options, int ordinal, CandidateCompiler& compiler,
                                     const devices::DeviceDescription* description, const std::string& nvrtc,
                                     MeasuringPolicy policy)
    : compiler_(compiler),
      description_(description),
      policy_(std::move(policy)),
      session_(std::move(options), ordinal) {
  const driver::Driver& driver = implementation_of(session_.runtime()).driver();
  monitor_ = std::make_unique<DeviceMonitor>(driver::query_device(driver.api, ordinal).uuid);
  conditions_.source = cache::TunedSource::measured;
  conditions_.device = session_.device().name();
  conditions_.compiler = nvrtc.empty() ? std::string() : "NVRTC " + nvrtc;
  conditions_.driver = driver_text(*monitor_, driver.version);
  conditions_.clocks = clocks_text(*monitor_, policy_.clocks);
  policy_.timing.programmatic =
      implementation_of(session_.runtime()).starts_early(session_.runtime().traits(ordinal));
  conditions_.policy = fmt::format("{}, rounds {}, {} again", policy_.timing.text(),
                                   rounds_text(policy_.search), rounds_text(policy_.last));
}

MeasuredEvaluator::~MeasuredEvaluator() = default;

void MeasuredEvaluator::watch(const EvaluationRequest& request, const Candidate* candidate) const {
  if (watch_) {
    watch_(request, candidate);
  }
}

Conditions MeasuredEvaluator::conditions(const Point& point) const {
  Conditions conditions = conditions_;
  if (!steering_tensors(point.op()).empty()) {
    conditions.data = fmt::format("{} seed {}", policy_.data.text(), policy_.seed);
  }
  return conditions;
}

void MeasuredEvaluator::recover() {
  timer_.reset();
  own_outputs_.clear();
  if (session_.healthy()) {
    return;
  }
  lost_ = true;
  session_.renew();
  lost_ = false;
}

double MeasuredEvaluator::bound_us(const Point& point, std::int64_t rows) const {
  return description_ == nullptr ? 0 : memory_bound_us(point, rows, *description_);
}

std::vector<double> MeasuredEvaluator::expect(const Point& point, std::span<const Candidate> candidates) {
  if (!make_model_) {
    return {};
  }
  return std::async(std::launch::async, [&] { return make_model_()->expect(point, candidates); }).get();
}

void MeasuredEvaluator::prepare(const Point& point, std::span<const Candidate> candidates) {
  compiler_.prepare(point, candidates);
}

DeviceTimer& MeasuredEvaluator::timer(const Point& point, std::int64_t rows) {
  const std::string call = fmt::format("{} [{}] {} {}", point.op().name, point.spec_text,
                                       fmt::join(point.workload.scalars, " "), rows);
  if (timer_ == nullptr || call_ != call) {
    timer_.reset();
    own_outputs_.clear();
    TimedCall timed;
    timed.op = &point.op();
    timed.params = point.workload.params;
    timed.scalars = point.workload.scalars;
    timed.inputs = steered_inputs(point.op(), timed.params, timed.scalars, rows, policy_.data, policy_.seed);
    timer_ = std::make_unique<DeviceTimer>(session_.runtime(), session_.device(), std::move(timed),
                                           policy_.timing);
    call_ = call;
  }
  return *timer_;
}

std::string MeasuredEvaluator::difference(const EvaluationRequest& request, const Candidate& candidate) {
  DeviceTimer& device_timer = timer(*request.point, request.rows);
  if (own_outputs_.empty()) {
    device_timer.load(request.own.tunables);
    const Watched watched_own(*this, request, request.own);
    own_outputs_ = device_timer.outputs(request.own.tunables);
    reproducible_ = outputs_difference(own_outputs_, device_timer.outputs(request.own.tunables)).empty();
  }
  device_timer.load(candidate.tunables);
  const Watched watched_candidate(*this, request, candidate);
  const std::string found = outputs_difference(own_outputs_, device_timer.outputs(candidate.tunables));
  return reproducible_ ? found : std::string();
}

Trial MeasuredEvaluator::examine(const EvaluationRequest& request, const Candidate& candidate) {
  const Point& point = *request.point;
  const bool is_own = candidate.text == request.own.text;
  Trial trial;
  trial.tunables = candidate.text;
  const Compiled own = compiler_.take(point, request.own);
  const Compiled compiled = is_own ? own : compiler_.take(point, candidate);
  trial.registers = compiled.registers;
  trial.spill_bytes = compiled.spill_bytes;
  if (const std::optional<Unfit> unfit =
          unfitness(point, request.rows, description_, candidate, compiled, request.own, own)) {
    trial.outcome = unfit->outcome;
    trial.why = unfit->why;
    return trial;
  }
  if (is_own) {
    return trial;
  }
  try {
    trial.why = difference(request, candidate);
    trial.outcome = trial.why.empty() ? Outcome::timed : Outcome::wrong_result;
  } catch (const Error& error) {
    trial.outcome = outcome_of(error);
    trial.why = error.what();
    recover();
  }
  return trial;
}

Subject MeasuredEvaluator::watched(const EvaluationRequest& request, const Candidate& candidate,
                                   Subject subject) {
  subject.sample_us = [this, &request, &candidate, sample = std::move(subject.sample_us)] {
    const Watched watched_sample(*this, request, candidate);
    return sample();
  };
  return subject;
}

std::vector<Measured> MeasuredEvaluator::measure_undisturbed(const std::vector<Subject>& subjects,
                                                             const RoundPolicy& rounds) const {
  const DeviceCondition before = monitor_->look();
  std::vector<Measured> measured = measure_rounds(subjects, rounds);
  const bool sound =
      std::all_of(measured.begin(), measured.end(), [](const Measured& one) { return one.ok(); });
  // A device that is throttled all the time disturbs the second time too. Its clock hits all subjects of a
  // round alike.
  if (sound && !disturbance(before, monitor_->look()).empty()) {
    measured = measure_rounds(subjects, rounds);
  }
  return measured;
}

bool MeasuredEvaluator::measure(const EvaluationRequest& request, const std::vector<Prepared>& together,
                                const std::function<bool()>& stop) {
  std::vector<Subject> subjects;
  try {
    DeviceTimer& device_timer = timer(*request.point, request.rows);
    const auto add = [&](const Candidate& candidate) {
      device_timer.load(candidate.tunables);
      const Watched watched_candidate(*this, request, candidate);
      subjects.push_back(
          watched(request, candidate, device_timer.subject(candidate.text, candidate.tunables)));
    };
    add(request.own);
    for (const Prepared& one : together) {
      if (one.candidate->text != request.own.text) {
        add(*one.candidate);
      }
    }
  } catch (const Error& error) {
    for (const Prepared& one : together) {
      one.trial->outcome = outcome_of(error);
      one.trial->why = error.what();
    }
    return false;
  }
  RoundPolicy rounds = request.is_final ? policy_.last : policy_.search;
  rounds.interrupted = stop;
  const std::vector<Measured> measured = measure_undisturbed(subjects, rounds);
  bool sound = measured.front().ok();
  std::size_t next = 1;
  for (const Prepared& one : together) {
    const bool is_own = one.candidate->text == request.own.text;
    const Measured& samples = is_own ? measured.front() : measured[next++];
    sound = sound && samples.ok();
    one.trial->samples_us = samples.samples_us;
    if (!is_own) {
      one.trial->default_us = measured.front().samples_us;
    }
    if (!samples.ok() || !measured.front().ok()) {
      one.trial->outcome = Outcome::failed;
      one.trial->why =
          samples.ok() ? "the default failed beside it: " + measured.front().defect : samples.defect;
    } else if (samples.samples_us.empty()) {
      one.trial->outcome = Outcome::failed;
      one.trial->why = "no round was finished";
    }
  }
  return sound;
}

std::vector<Trial> MeasuredEvaluator::evaluate(const EvaluationRequest& request,
                                               const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  if (!session_.healthy()) {
    recover();
  }
  const std::span<const Candidate> wanted =
      request.others.empty() ? std::span<const Candidate>(&request.own, 1) : request.others;
  std::vector<Trial> trials;
  for (const Candidate& candidate : wanted) {
    if (stop()) {
      return {};
    }
    trials.push_back(examine(request, candidate));
  }
  std::vector<Prepared> fit;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].outcome == Outcome::timed) {
      fit.push_back({&wanted[i], &trials[i]});
    }
  }
  if (!fit.empty() && !measure(request, fit, stop)) {
    recover();
    for (const Prepared& one : fit) {
      one.trial->outcome = Outcome::timed;
      one.trial->why.clear();
      if (!measure(request, {one}, stop)) {
        recover();
      }
    }
  }
  if (stop()) {
    // Rounds that were cut short are no trial.
    return {};
  }
  const double took =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  for (Trial& trial : trials) {
    trial.at_us = now_us();
    trial.took_ms = took / static_cast<double>(trials.size());
  }
  return trials;
}

}  // namespace kerncast::tools
