#include "cache/remote/lease/lease_policy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "runtime/util/split_mix.hpp"

namespace kerncast::cache {
namespace {

constexpr LeasePolicy::Time shortest_duration{1000};
constexpr LeasePolicy::Time longest_duration{60'000};
constexpr int most_contradictions = 1;
/// A miss waits for others as long as so many of its own leases would last: one holder may be gone.
constexpr int most_leases = 2;
/// In so many parts of a lease's duration almost three times as many machines give up as in the one before.
constexpr int parts_of_lease = 16;

/// The duration that a lease states behind its last space. Others may have written the text, so it is
/// bounded.
LeasePolicy::Time duration_of(std::string_view lease, LeasePolicy::Time otherwise) {
  const std::string_view text = lease.substr(lease.rfind(' ') + 1);
  std::uint32_t stated = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), stated);
  const bool sound = error == std::errc() && end == text.data() + text.size();
  return std::clamp(sound ? LeasePolicy::Time(stated) : otherwise, shortest_duration, longest_duration);
}

}  // namespace

LeasePolicy::LeasePolicy(const LeaseTimes& times, std::uint64_t nonce, std::uint64_t machine, Time end)
    : times_(times),
      token_(fmt::format("{:016x}{:016x} {}", machine, nonce, times.duration.count())),
      end_(end),
      random_(nonce ^ machine),
      interval_(times.shortest_pause) {}

void LeasePolicy::ended(LeaseAnswer answer, Time now, std::string_view lease) {
  switch (step_) {
    case LeaseStep::claim:
      claim_ended(answer, now);
      break;
    case LeaseStep::take_over:
      take_over_ended(answer, now);
      break;
    case LeaseStep::read_entry:
      read_entry_ended(answer, now);
      break;
    case LeaseStep::read_lease:
      read_lease_ended(answer, now, lease);
      break;
    case LeaseStep::wait:
      step_ = overwrote_ ? LeaseStep::read_lease : LeaseStep::read_entry;
      break;
    case LeaseStep::use:
    case LeaseStep::compile:
      break;
  }
}

void LeasePolicy::claim_ended(LeaseAnswer answer, Time now) {
  if (answer == LeaseAnswer::done) {
    // The last holder may have published since this machine asked for the kernel.
    holds_ = true;
    step_ = LeaseStep::read_entry;
  } else if (answer == LeaseAnswer::taken) {
    end_ = waited_ ? end_ : std::min(end_, now + patience());
    waited_ = true;
    lease_read_ = now;
    rest(now, next_pause());
  } else {
    step_ = LeaseStep::compile;
  }
}

void LeasePolicy::take_over_ended(LeaseAnswer answer, Time now) {
  if (answer != LeaseAnswer::done) {
    step_ = LeaseStep::compile;
    return;
  }
  // Others may find the same lease too old in this moment. The last one that wrote holds it.
  overwrote_ = true;
  rest(now, times_.shortest_pause);
}

void LeasePolicy::read_entry_ended(LeaseAnswer answer, Time now) {
  if (answer == LeaseAnswer::done) {
    step_ = LeaseStep::use;
  } else if (answer != LeaseAnswer::absent || holds_) {
    step_ = LeaseStep::compile;
  } else if (now - lease_read_ >= times_.duration / 4) {
    // Most compiles end before, so that most waits cost no second kind of request.
    step_ = LeaseStep::read_lease;
  } else {
    rest(now, next_pause());
  }
}

void LeasePolicy::read_lease_ended(LeaseAnswer answer, Time now, std::string_view lease) {
  lease_read_ = now;
  overwrote_ = false;
  if (answer == LeaseAnswer::absent) {
    // A server that says "taken" of a lease that does not exist has no leases.
    lease_.reset();
    step_ = ++contradictions_ > most_contradictions ? LeaseStep::compile : LeaseStep::claim;
  } else if (answer != LeaseAnswer::done) {
    step_ = LeaseStep::compile;
  } else if (lease == token_) {
    // This machine's claim was answered late or twice, or it has taken the lease over.
    holds_ = true;
    step_ = LeaseStep::read_entry;
  } else if (stands_too_long(lease, now)) {
    step_ = LeaseStep::take_over;
  } else {
    contradictions_ = 0;
    rest(now, next_pause());
  }
}

void LeasePolicy::rest(Time now, Time length) {
  if (now >= end_) {
    // A lease that was just written is released, unless another machine has written over it.
    holds_ = holds_ || overwrote_;
    step_ = LeaseStep::compile;
    return;
  }
  pause_ = std::min(length, end_ - now);
  step_ = LeaseStep::wait;
}

LeasePolicy::Time LeasePolicy::next_pause() {
  const Time longest = interval_;
  interval_ = std::min(times_.longest_pause, interval_ * 2);
  const auto half = static_cast<std::uint64_t>(longest.count() / 2);
  return longest / 2 + Time(next_random(random_) % (half + 1));
}

LeasePolicy::Time LeasePolicy::patience() {
  // If all gave up at once, all would compile. This way a few do so early, and the others find their kernel.
  const double share = (static_cast<double>(next_random(random_) >> 11) + 1) * 0x1p-53;
  const Time part = times_.duration / parts_of_lease;
  const Time earlier(static_cast<std::int64_t>(-std::log(share) * static_cast<double>(part.count())));
  return most_leases * times_.duration - std::min(earlier, (most_leases - 1) * times_.duration);
}

bool LeasePolicy::stands_too_long(std::string_view lease, Time now) {
  if (lease_ != lease) {
    lease_ = std::string(lease);
    lease_seen_ = now;
  }
  return now - lease_seen_ >= duration_of(lease, times_.duration);
}

LeasePolicy::Time time_to_wait(LeasePolicy::Time left, LeasePolicy::Time request) {
  return std::min(left - std::min(request, left / 4), left * 2 / 3);
}

}  // namespace kerncast::cache
