#include "tools/measure/rounds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>

namespace kerncast::tools {
namespace {

std::chrono::steady_clock::time_point round_clock(const RoundPolicy& policy) {
  return policy.now ? policy.now() : std::chrono::steady_clock::now();
}

/// Takes one sample; what is wrong with it becomes the subject's defect.
void take_sample(const Subject& subject, Measured& measured) {
  try {
    const double sample = subject.sample_us();
    if (!std::isfinite(sample) || sample <= 0) {
      measured.defect = fmt::format("a sample of {} took {} us, which is no time", subject.name, sample);
      return;
    }
    measured.samples_us.push_back(sample);
  } catch (const std::exception& error) {
    measured.defect = error.what();
    if (measured.defect.empty()) {
      measured.defect = "failed without a reason";
    }
  }
}

/// True if every subject that is left has an interval narrower than `width`.
bool all_narrow(const std::vector<Measured>& all, double width) {
  return std::all_of(all.begin(), all.end(), [&](const Measured& measured) {
    return !measured.ok() || relative_width(summarise(measured.samples_us)) < width;
  });
}

bool any_left(const std::vector<Measured>& all) {
  return std::any_of(all.begin(), all.end(), [](const Measured& measured) { return measured.ok(); });
}

}  // namespace

std::vector<Measured> measure_rounds(std::span<const Subject> subjects, const RoundPolicy& policy,
                                     RoundsEnd* end) {
  std::vector<Measured> all(subjects.size());
  const auto start = round_clock(policy);
  RoundsEnd reason = RoundsEnd::rounds;
  std::size_t whole = 0;
  const auto rounds = static_cast<std::size_t>(std::max(policy.most_rounds, 1));
  while (whole < rounds && reason == RoundsEnd::rounds) {
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      if (policy.interrupted && policy.interrupted()) {
        reason = RoundsEnd::interrupted;
        break;
      }
      const std::size_t place = (policy.seed % subjects.size() + whole + i) % subjects.size();
      if (all[place].ok()) {
        take_sample(subjects[place], all[place]);
      }
    }
    if (reason == RoundsEnd::interrupted) {
      break;
    }
    ++whole;
    if (!any_left(all)) {
      reason = RoundsEnd::no_subject;
    } else if (whole >= static_cast<std::size_t>(std::max(policy.least_rounds, 0)) &&
               all_narrow(all, policy.width)) {
      reason = RoundsEnd::narrow;
    } else if (round_clock(policy) - start >= policy.most_time) {
      reason = RoundsEnd::time;
    }
  }
  for (Measured& measured : all) {
    measured.samples_us.resize(std::min(measured.samples_us.size(), whole));
    measured.summary = summarise(measured.samples_us);
  }
  if (end != nullptr) {
    *end = reason;
  }
  return all;
}

}  // namespace kerncast::tools
