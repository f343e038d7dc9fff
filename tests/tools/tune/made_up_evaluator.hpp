#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tools/measure/rounds.hpp"
#include "tools/tune/evaluate/evaluator.hpp"
#include "tools/tune/search/seeded_order.hpp"

namespace kerncast::test {

/// The ways in which the times of a made-up device stray.
struct Noise {
  double spread = 0;    ///< standard deviation of a sample, as a part of its time
  double drift = 0;     ///< the clock of the device slows down by this part over a thousand samples
  double outliers = 0;  ///< part of the samples that take three times as long
  std::uint64_t seed = 1;
};

/// Times candidates by a formula, with noise, and counts what it was asked.
class MadeUpEvaluator final : public tools::Evaluator {
 public:
  /// The true time of a candidate at a row count, in microseconds.
  using Truth = std::function<double(const Tunables&, std::int64_t rows)>;

  explicit MadeUpEvaluator(Truth truth, Noise noise = {})
      : truth_(std::move(truth)), noise_(noise), random_(noise.seed) {}

  [[nodiscard]] tools::Conditions conditions(const tools::Point& /*point*/) const override {
    return {cache::TunedSource::measured, "made-up", "NVRTC 13.0", "1.0", "fixed", "made-up rounds", "", ""};
  }
  [[nodiscard]] bool exact() const override { return noise_.spread == 0; }
  [[nodiscard]] double bound_us(const tools::Point&, std::int64_t) const override { return bound; }
  void prepare(const tools::Point&, std::span<const tools::Candidate>) override {}
  [[nodiscard]] std::vector<double> expect(const tools::Point& point,
                                           std::span<const tools::Candidate> candidates) override {
    std::vector<double> expected;
    for (const tools::Candidate& candidate : candidates) {
      expected.push_back(truth_(candidate.tunables, point.rows));
    }
    return expected;
  }
  [[nodiscard]] std::vector<std::string> in_flight() const override { return {}; }

  [[nodiscard]] std::vector<tools::Trial> evaluate(const tools::EvaluationRequest& request,
                                                   const std::function<bool()>& stop) override {
    std::vector<tools::Candidate> wanted(request.others.begin(), request.others.end());
    if (wanted.empty()) {
      wanted.push_back(request.own);
    }
    std::vector<tools::Trial> trials;
    std::vector<tools::Subject> subjects = {subject(request.own, request.rows)};
    for (const tools::Candidate& candidate : wanted) {
      if (stop()) {
        return {};
      }
      ++asked;
      trials.emplace_back().tunables = candidate.text;
      trials.back().took_ms = 1;
      if (const auto bad = outcomes.find(candidate.text); bad != outcomes.end()) {
        trials.back().outcome = bad->second;
        trials.back().why = "made up";
      } else {
        subjects.push_back(subject(candidate, request.rows));
      }
      if (after) {
        after();
      }
    }
    tools::RoundPolicy policy;
    policy.least_rounds = noise_.spread == 0 ? 1 : request.is_final ? 40 : 20;
    policy.most_rounds = noise_.spread == 0 ? 1 : request.is_final ? 300 : 60;
    policy.most_time = std::chrono::hours(1);
    policy.width = 0.01;
    policy.seed = noise_.seed;
    const std::vector<tools::Measured> measured = tools::measure_rounds(subjects, policy);
    std::size_t next = 1;
    for (std::size_t i = 0; i < trials.size(); ++i) {
      if (trials[i].outcome == tools::Outcome::timed) {
        trials[i].samples_us = measured[next++].samples_us;
        if (wanted[i].text != request.own.text) {
          trials[i].default_us = measured.front().samples_us;
        }
      }
    }
    return trials;
  }

  int asked = 0;  ///< candidates tried
  double bound = 0;
  std::map<std::string, tools::Outcome> outcomes;  ///< of candidates that cannot be timed
  std::function<void()> after;                     ///< called after each candidate

 private:
  tools::Subject subject(const tools::Candidate& candidate, std::int64_t rows) {
    return {candidate.text, [this, time = truth_(candidate.tunables, rows)] { return time * stray(); }};
  }

  double stray() {
    // The sum of twelve is near enough to a normal distribution.
    double normal = -6;
    for (int i = 0; i < 12; ++i) {
      normal += random_.unit();
    }
    ++samples_;
    const double slow = random_.unit() < noise_.outliers ? 3 : 1;
    return slow * std::max(0.5, 1 + noise_.spread * normal) *
           (1 + noise_.drift * static_cast<double>(samples_) / 1000);
  }

  Truth truth_;
  Noise noise_;
  tools::SeededRandom random_;
  std::uint64_t samples_ = 0;
};

}  // namespace kerncast::test
