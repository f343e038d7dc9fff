#include "tools/tune/tune_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <utility>

#include "kerncast/version.hpp"

namespace kerncast::tools {
namespace {

using Clock = std::chrono::steady_clock;

std::string tool_version() {
  return fmt::format("kerncast {}", version());
}

/// The trials of one search, by candidate: those that were stored and those that are made now.
class TrialBook {
 public:
  TrialBook(Evaluator& evaluator, TrialStore& store, const Point& point, std::int64_t rows,
            const Space& space, const std::string& templates, std::function<bool()> ends)
      : evaluator_(evaluator),
        store_(store),
        point_(point),
        rows_(rows),
        space_(space),
        fields_(search_fields(point, rows, space, evaluator.conditions(point), templates)),
        ends_(std::move(ends)) {
    for (Trial& trial : store.load(fields_)) {
      // The machine may have failed and not the candidate, so it is tried again.
      if (trial.outcome != Outcome::failed) {
        keep(std::move(trial), true);
      }
    }
  }

  /// The trial of a candidate; null if there is none yet.
  [[nodiscard]] const Trial* find(const Candidate& candidate, bool is_final) const {
    const auto found = known_.find({candidate.text, is_final});
    return found == known_.end() ? nullptr : &found->second.trial;
  }
  [[nodiscard]] bool was_stored(const Candidate& candidate) const {
    const auto found = known_.find({candidate.text, false});
    return found != known_.end() && found->second.stored;
  }

  /// Makes the trials that are missing. False if one still is, since it was told to end.
  bool make(const std::vector<std::size_t>& candidates, bool is_final) {
    std::vector<Candidate> others;
    bool own = false;
    for (const std::size_t index : candidates) {
      if (find(space_.valid[index], is_final) != nullptr) {
        continue;
      }
      own = own || index == space_.first;
      if (index != space_.first) {
        others.push_back(space_.valid[index]);
      }
    }
    if (own && !ends_()) {
      evaluate({}, is_final);
    }
    if (!others.empty() && !ends_()) {
      evaluate(others, is_final);
    }
    const auto made = [&](std::size_t index) { return find(space_.valid[index], is_final) != nullptr; };
    return std::all_of(candidates.begin(), candidates.end(), made) || !ends_();
  }

  /// Keeps that a winner does not hold over the bucket, for those who decide from the stored trials.
  void refuse(const Candidate& candidate, const std::string& why) {
    Trial trial;
    trial.tunables = candidate.text;
    trial.outcome = Outcome::not_held;
    trial.why = why;
    trial.is_final = true;
    trial.at_us = now_us();
    store_.append(fields_, {&trial, 1});
    keep(std::move(trial), false);
  }

  /// The reason why the op's own choice cannot be tried again; empty if it can.
  [[nodiscard]] std::string own_defect() const {
    const Trial* own = find(space_.own(), true);
    return own == nullptr || own->outcome != Outcome::timed_out
               ? std::string()
               : fmt::format("the op's own choice {} hangs at {} rows: {}", own->tunables, rows_, own->why);
  }

  [[nodiscard]] double measuring_ms() const { return measuring_ms_; }
  /// Seconds since the first trial that was not stored before.
  [[nodiscard]] double seconds() const {
    return began_ == Clock::time_point() ? 0 : std::chrono::duration<double>(Clock::now() - began_).count();
  }

 private:
  struct Known {
    Trial trial;
    bool stored = false;
  };

  void keep(Trial trial, bool stored) {
    std::pair<std::string, bool> name(trial.tunables, trial.is_final);
    known_[std::move(name)] = {std::move(trial), stored};
  }

  void evaluate(std::span<const Candidate> others, bool is_final) {
    const auto start = Clock::now();
    began_ = began_ == Clock::time_point() ? start : began_;
    EvaluationRequest request{&point_, rows_, space_.own(), others, is_final};
    std::vector<Trial> made = evaluator_.evaluate(request, ends_);
    for (Trial& trial : made) {
      trial.is_final = is_final;
      measuring_ms_ += trial.took_ms;
    }
    store_.append(fields_, made);
    for (Trial& trial : made) {
      keep(std::move(trial), false);
    }
  }

  Evaluator& evaluator_;
  TrialStore& store_;
  const Point& point_;
  std::int64_t rows_;
  const Space& space_;
  cache::KeyFieldList fields_;
  std::function<bool()> ends_;
  std::map<std::pair<std::string, bool>, Known> known_;
  double measuring_ms_ = 0;
  Clock::time_point began_;
};

/// The tuning of one point.
class PointRun {
 public:
  PointRun(Evaluator& evaluator, TrialStore& store, const Point& point, const std::string& templates,
           const TunePolicy& policy, const std::atomic<bool>& stop,
           const std::function<void(const TuneProgress&)>& tick)
      : evaluator_(evaluator),
        store_(store),
        templates_(templates),
        policy_(policy),
        stop_(stop),
        tick_(tick),
        space_(space_of(point)),
        decision_(policy.decision),
        was_over_(policy.is_over && policy.is_over()),
        book_(evaluator, store, point, point.rows, space_, templates, [this] { return ends(); }) {
    decision_.least_pairs = evaluator.exact() ? 1 : decision_.least_pairs;
    result_.point = point;
    result_.conditions = evaluator.conditions(point);
    result_.candidates = space_.valid.size();
    result_.pruned = space_.pruned.size();
    result_.own = space_.own();
    result_.chosen = space_.own();
    result_.bound_us = evaluator.bound_us(point, point.rows);
    progress_.point = &result_.point;
    progress_.candidates = space_.valid.size();
    progress_.bound_us = result_.bound_us;
  }

  TuneResult run() {
    search();
    while (goes_on() && !choose_and_validate()) {
    }
    result_.stopped = result_.stopped || stop_.load();
    finish();
    return std::move(result_);
  }

 private:
  void tell(std::string_view phase) {
    progress_.phase = phase;
    tick_(progress_);
  }

  /// True if no further trial is to be begun.
  [[nodiscard]] bool ends() const { return stop_.load() || (policy_.is_over && policy_.is_over()); }
  [[nodiscard]] bool goes_on() const {
    return !result_.stopped && result_.out_of_time.empty() && result_.error.empty();
  }

  /// Makes trials in the phase that was told last. False if the user or the budget ended that.
  bool make(TrialBook& book, const std::vector<std::size_t>& candidates, bool is_final) {
    const bool made = book.make(candidates, is_final);
    result_.stopped = stop_.load();
    if (!made && !result_.stopped) {
      result_.out_of_time = was_over_ ? "start" : progress_.phase;
    }
    return made && !result_.stopped;
  }

  void search() {
    SearchSpace space = search_space_of(result_.point, space_);
    if (policy_.strategy.info->needs_model) {
      space.expected_us = evaluator_.expect(result_.point, space_.valid);
    }
    const std::unique_ptr<Strategy> strategy = policy_.strategy.make(space, policy_.seed);
    progress_.expected = strategy->most();
    SearchProgress progress;
    progress.bound_us = result_.bound_us;
    double best = std::numeric_limits<double>::infinity();
    while (result_.end.empty()) {
      const std::vector<std::size_t> batch = strategy->next(policy_.batch);
      if (batch.empty()) {
        result_.end = tried_.size() == space_.valid.size() ? "every candidate was tried"
                                                           : "the strategy has nothing left";
        return;
      }
      prepare(batch, *strategy);
      tell("search");
      const bool made = make(book_, batch, false);
      for (const std::size_t index : batch) {
        const Trial* trial = book_.find(space_.valid[index], false);
        if (trial == nullptr) {
          continue;
        }
        if (index == space_.first && !trial->timed()) {
          result_.error = fmt::format("the op's own choice {} cannot be timed ({}): {}", trial->tunables,
                                      name_of(trial->outcome), trial->why);
          return;
        }
        note(index, *trial, progress, best);
        strategy->tell(index, trial->relative_time());
      }
      progress.seconds = book_.seconds();
      if (!made) {
        return;
      }
      if (book_.find(space_.own(), false) == nullptr) {
        result_.error = fmt::format("the op's own choice {} was not tried", space_.own().text);
        return;
      }
      if (policy_.stop != nullptr) {
        result_.end = policy_.stop->reached(progress);
      }
      // The op's own choice alone is nothing to decide from.
      const bool can_decide = tried_.size() >= std::min<std::size_t>(2, space_.valid.size());
      if (result_.end.empty() && can_decide && policy_.search_is_over && policy_.search_is_over()) {
        result_.end = "the rest of the budget is for the final rounds";
      }
    }
  }

  /// Lets the candidates compile that are tried next, and those that the strategy will probably want then.
  void prepare(const std::vector<std::size_t>& batch, const Strategy& strategy) {
    std::vector<Candidate> soon;
    const auto add = [&](std::size_t index) {
      if (book_.find(space_.valid[index], false) == nullptr) {
        soon.push_back(space_.valid[index]);
      }
    };
    std::for_each(batch.begin(), batch.end(), add);
    if (!soon.empty()) {
      const std::vector<std::size_t> later = strategy.foresee(2 * policy_.batch);
      std::for_each(later.begin(), later.end(), add);
      evaluator_.prepare(result_.point, soon);
    }
  }

  /// Counts one trial.
  void note(std::size_t index, const Trial& trial, SearchProgress& progress, double& best) {
    tried_.push_back(index);
    result_.trials.push_back(trial);
    result_.stored += book_.was_stored(space_.valid[index]) ? 1 : 0;
    result_.timed += trial.timed() ? 1 : 0;
    result_.wrong += trial.outcome == Outcome::wrong_result ? 1 : 0;
    const double relative = trial.relative_time();
    ++progress.trials;
    ++progress.since_best;
    if (index == space_.first) {
      result_.own_time = summarise(trial.samples_us);
      progress_.own_us = result_.own_time.median_us;
    }
    if (relative < best * (1 - clear_gain)) {
      progress.since_best = 0;
    }
    if (relative < best) {
      best = relative;
      progress.best_us = relative * progress_.own_us;
    }
    progress_.trials = progress.trials;
    progress_.best_us = progress.best_us;
  }

  [[nodiscard]] std::vector<TriedCandidate> contenders(bool is_final,
                                                       const std::vector<std::size_t>& among) const {
    std::vector<TriedCandidate> made;
    for (const std::size_t index : among) {
      const Trial* trial = book_.find(space_.valid[index], is_final);
      if (index != space_.first && trial != nullptr &&
          std::find(refused_.begin(), refused_.end(), index) == refused_.end()) {
        made.push_back({space_.valid[index].id, trial});
      }
    }
    return made;
  }

  [[nodiscard]] std::size_t index_of(const TriedCandidate& contender) const {
    return space_.find(contender.trial->tunables);
  }

  /// Chooses among what was tried and checks the choice over the bucket. False if the choice does not hold
  /// there, so that another one is to be made.
  bool choose_and_validate() {
    std::vector<TriedCandidate> all = contenders(false, tried_);
    if (!evaluator_.exact()) {
      std::vector<std::size_t> last;
      for (const std::size_t i : finalists(all, policy_.finalists, decision_)) {
        last.push_back(index_of(all[i]));
      }
      tell("final");
      result_.error = book_.own_defect();
      if (!result_.error.empty()) {
        return true;
      }
      if (!last.empty() && !make(book_, last, true)) {
        return true;
      }
      all = contenders(true, last);
    }
    const std::size_t winner = decide(all, decision_);
    if (winner == all.size()) {
      keep_own();
      return true;
    }
    const std::size_t index = index_of(all[winner]);
    const Trial& trial = *all[winner].trial;
    if (!validate(index)) {
      refused_.push_back(index);
      if (result_.error.empty()) {
        book_.refuse(space_.valid[index], result_.reason);
      }
      return false;
    }
    if (!goes_on()) {
      return true;
    }
    result_.chosen = space_.valid[index];
    result_.gain = gain_of(trial);
    result_.chosen_time = summarise(trial.samples_us);
    result_.own_time = summarise(trial.default_us);
    result_.reason.clear();
    return true;
  }

  void keep_own() {
    result_.chosen = space_.own();
    result_.chosen_time = result_.own_time;
    if (result_.reason.empty()) {
      result_.reason =
          fmt::format("no candidate saves {:g} % or more for certain", 100 * decision_.least_gain);
    }
  }

  /// True if the candidate holds at the other row counts of the bucket, or if the run ended before that.
  bool validate(std::size_t index) {
    const Candidate& candidate = space_.valid[index];
    for (const std::int64_t rows : validation_rows(result_.point, policy_.seed)) {
      tell("validation");
      TrialBook book(evaluator_, store_, result_.point, rows, space_, templates_, [this] { return ends(); });
      result_.error = book.own_defect();
      if (!result_.error.empty()) {
        return false;
      }
      const bool made = make(book, {index}, true);
      result_.measuring_ms += book.measuring_ms();
      if (!made) {
        return true;
      }
      const Trial* trial = book.find(candidate, true);
      Validation validation{rows, candidate.text, {}, {}};
      if (trial == nullptr || !trial->timed() || trial->default_us.empty()) {
        validation.defect = trial == nullptr ? std::string("it could not be tried")
                                             : fmt::format("{}: {}", name_of(trial->outcome), trial->why);
      } else {
        validation.gain = gain_of(*trial);
        if (validation.gain.gain < -decision_.most_loss) {
          validation.defect =
              fmt::format("it takes {:.1f} % longer than the default", -100 * validation.gain.gain);
        }
      }
      result_.validations.push_back(validation);
      if (!validation.defect.empty()) {
        result_.reason =
            fmt::format("{} does not hold at {} rows: {}", candidate.text, rows, validation.defect);
        return false;
      }
    }
    return true;
  }

  void finish() {
    result_.tried = tried_.size();
    result_.measuring_ms += book_.measuring_ms();
    if (result_.stopped) {
      result_.end = "it was stopped";
    } else if (!result_.out_of_time.empty()) {
      result_.end = "the budget is spent";
    }
  }

  Evaluator& evaluator_;
  TrialStore& store_;
  const std::string& templates_;
  const TunePolicy& policy_;
  const std::atomic<bool>& stop_;
  const std::function<void(const TuneProgress&)>& tick_;
  Space space_;
  DecisionPolicy decision_;
  bool was_over_;  ///< the budget was spent before the point was begun
  TrialBook book_;
  TuneResult result_;
  TuneProgress progress_;
  std::vector<std::size_t> tried_;
  std::vector<std::size_t> refused_;  ///< winners that did not hold over the bucket
};

}  // namespace

cache::KeyFieldList search_fields(const Point& point, std::int64_t rows, const Space& space,
                                  const Conditions& conditions, const std::string& templates) {
  cache::KeyFieldList fields = {{"op", point.op().name},
                                {"spec", point.spec_text},
                                {"arch", point.arch},
                                {"rows", fmt::format("{}", rows)},
                                {"traits", format_traits(point.traits)},
                                {"default", space.own().text},
                                {"templates", templates},
                                {"source", std::string(cache::name_of(conditions.source))},
                                {"device", conditions.device},
                                {"compiler", conditions.compiler},
                                {"driver", conditions.driver},
                                {"clocks", conditions.clocks},
                                {"policy", conditions.policy},
                                {"data", conditions.data}};
  for (const auto& [name, value] : point.workload.scalars) {
    fields.emplace_back("scalar " + name, fmt::format("{}", value));
  }
  if (conditions.source == cache::TunedSource::estimate) {
    fields.emplace_back("tool", tool_version());
    fields.emplace_back("model", conditions.model);
  }
  return fields;
}

TuneResult tune_point(Evaluator& evaluator, TrialStore& store, const Point& point,
                      const std::string& templates, const TunePolicy& policy, const std::atomic<bool>& stop,
                      const std::function<void(const TuneProgress&)>& tick) {
  try {
    return PointRun(evaluator, store, point, templates, policy, stop, tick).run();
  } catch (const std::exception& error) {
    TuneResult failed;
    failed.point = point;
    failed.error = error.what();
    failed.stopped = stop.load();
    return failed;
  }
}

cache::TunedRecord record_of(const TuneResult& result, const std::string& templates, std::int64_t now_us) {
  cache::TunedRecord record;
  record.op = result.point.op().name;
  record.spec = result.point.spec_text;
  record.arch = result.point.arch;
  record.rows_low = result.point.rows_low;
  record.rows_high = result.point.rows_high;
  record.source = result.conditions.source;
  record.device = result.conditions.device;
  for (std::size_t i = 0; i < result.point.op().tunables.size(); ++i) {
    record.tunables.emplace_back(result.point.op().tunables[i].name, result.chosen.tunables[i]);
  }
  record.time_us = result.chosen_time.median_us;
  record.low_us = result.chosen_time.interval_us.low;
  record.high_us = result.chosen_time.interval_us.high;
  record.default_us = result.own_time.median_us;
  record.trials = static_cast<std::uint32_t>(result.timed);
  record.policy = result.conditions.policy;
  if (!result.conditions.clocks.empty()) {
    record.policy += ", clocks " + result.conditions.clocks;
  }
  record.data = result.conditions.data;
  record.compiler = result.conditions.compiler;
  record.driver = result.conditions.driver;
  record.tool = tool_version();
  record.templates = templates;
  record.recorded_us = now_us;
  return record;
}

}  // namespace kerncast::tools
