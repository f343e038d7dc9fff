#include "cache/remote/lease/remote_leases.hpp"

#include <fmt/format.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <thread>

#include "cache/layout.hpp"

namespace kerncast::cache {
namespace {

using Clock = std::chrono::steady_clock;

LeasePolicy::Time now() {
  return std::chrono::duration_cast<LeasePolicy::Time>(Clock::now().time_since_epoch());
}

/// Two numbers that no other machine, process or thread has.
std::array<std::uint64_t, 2> nonces() {
  std::array<std::uint64_t, 2> out{};
  if (::getrandom(out.data(), sizeof(out), GRND_NONBLOCK) != static_cast<ssize_t>(sizeof(out))) {
    out = {static_cast<std::uint64_t>(::getpid()),
           static_cast<std::uint64_t>(Clock::now().time_since_epoch().count())};
  }
  return out;
}

LeasePolicy policy_of(const RemoteOptions& options, WaitBudget& budget) {
  LeaseTimes times;
  times.duration = options.lease;
  const std::array<std::uint64_t, 2> own = nonces();
  const LeasePolicy::Time left = WaitBudget::Wait(budget).deadline().left();
  return {times, own[0], own[1], now() + time_to_wait(left, options.request_time())};
}

}  // namespace

struct RemoteLeases::Turn {
  LeasePolicy policy;
  std::string name;
  WaitBudget& budget;
  std::string lease;  ///< the token that was read last
};

RemoteLease::~RemoteLease() {
  if (leases_ == nullptr) {
    return;
  }
  try {
    leases_->release(name_, token_, *budget_);
  } catch (const std::exception&) {
    return;  // The lease ends by itself.
  }
}

RemoteLeases::RemoteLeases(RemoteServer* server, const RemoteOptions& options, WarnOnce& warnings,
                           Counters& counters)
    : server_(server), options_(options), warnings_(warnings), counters_(counters) {}

RemoteLease RemoteLeases::take_turn(const Key& key, WaitBudget& budget, const ReadEntry& read_entry) {
  if (server_ == nullptr || options_.read_only || !options_.leases || !breaker_.allows(Clock::now())) {
    return {};
  }
  const auto began = Clock::now();
  Turn turn{policy_of(options_, budget), fmt::format("{}-{}.lease", layout::entries, key.hex()), budget, {}};
  LeasePolicy& policy = turn.policy;
  while (policy.step() != LeaseStep::use && policy.step() != LeaseStep::compile && !stopped_) {
    const LeaseAnswer answer = take(policy.step(), turn, read_entry);
    policy.ended(answer, now(), turn.lease);
  }
  if (policy.waited()) {
    counters_.add(&CacheCounters::lease_wait_us,
                  static_cast<std::uint64_t>(
                      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began).count()));
  }
  if (policy.waited() && policy.step() == LeaseStep::use) {
    counters_.add(&CacheCounters::lease_hits);
  }
  if (!policy.holds()) {
    return {};
  }
  if (policy.step() == LeaseStep::compile) {
    counters_.add(&CacheCounters::leases);
  }
  return {*this, std::move(turn.name), policy.token(), budget};
}

LeaseAnswer RemoteLeases::take(LeaseStep step, Turn& turn, const ReadEntry& read_entry) {
  if (step == LeaseStep::read_entry) {
    return read_entry();
  }
  if (step == LeaseStep::wait) {
    sleep(turn.policy.pause(), turn.budget);
    return LeaseAnswer::done;
  }
  const WaitBudget::Wait wait(turn.budget);
  if (wait.deadline().expired()) {
    return LeaseAnswer::failed;
  }
  if (step == LeaseStep::read_lease) {
    RemoteAnswer answer = server_->get(turn.name, deadline(wait));
    turn.lease = std::move(answer.bytes);
    return answer_of(answer);
  }
  return answer_of(server_->claim(
      {turn.name, turn.policy.token(), options_.lease, step == LeaseStep::take_over}, deadline(wait)));
}

LeaseAnswer RemoteLeases::answer_of(const RemoteAnswer& answer) {
  switch (answer.state) {
    case RemoteState::done:
      breaker_.succeeded();
      return LeaseAnswer::done;
    case RemoteState::absent:
      breaker_.succeeded();
      return LeaseAnswer::absent;
    case RemoteState::taken:
      breaker_.succeeded();
      return LeaseAnswer::taken;
    case RemoteState::refused: {
      breaker_.failed(Clock::now());
      const std::lock_guard lock(refusal_mutex_);
      refusal_ = answer.failure;
      break;
    }
    case RemoteState::failed:
      breaker_.failed(Clock::now());
      counters_.add(&CacheCounters::remote_failures);
      warnings_.once("remote", fmt::format("the remote cache {} failed ({}); kernels are compiled, and it is "
                                           "tried again in a minute",
                                           options_.address.name(), answer.failure));
      break;
  }
  return LeaseAnswer::failed;
}

void RemoteLeases::uploaded() {
  const std::lock_guard lock(refusal_mutex_);
  if (!refusal_.empty()) {
    warnings_.once("leases",
                   fmt::format("the remote cache {} has no leases ({}), so machines may compile the same "
                               "kernel at once; KERNCAST_CACHE_REMOTE_LEASES=0 does without them",
                               options_.address.name(), refusal_));
    refusal_.clear();
  }
}

void RemoteLeases::sleep(std::chrono::milliseconds time, WaitBudget& budget) const {
  constexpr std::chrono::milliseconds slice{100};  // A stop has to be noticed soon.
  const WaitBudget::Wait wait(budget);
  const Deadline end = Deadline::after(time);
  while (!end.expired() && !wait.deadline().expired() && !stopped_) {
    std::this_thread::sleep_for(std::clamp(end.left(), std::chrono::milliseconds(1), slice));
  }
}

void RemoteLeases::release(const std::string& name, const std::string& token, WaitBudget& budget) {
  const WaitBudget::Wait wait(budget);
  if (wait.deadline().expired() || breaker_.pauses()) {
    return;
  }
  // A lease that cannot be released ends by itself. Only a server that does not answer costs time again.
  if (server_->release(name, token, deadline(wait)).state == RemoteState::failed) {
    breaker_.failed(Clock::now());
  }
}

Deadline RemoteLeases::deadline(const WaitBudget::Wait& wait) const {
  return Deadline::after(std::min(options_.request_time(), wait.deadline().left()));
}

}  // namespace kerncast::cache
