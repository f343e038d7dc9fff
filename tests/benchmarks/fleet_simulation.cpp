#include "tests/benchmarks/fleet_simulation.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "cache/remote/lease/lease_order.hpp"
#include "cache/remote/lease/lease_policy.hpp"
#include "cache/remote/server/circuit_breaker.hpp"

namespace kerncast::bench {
namespace {

using cache::CircuitBreaker;
using cache::LeaseAnswer;
using cache::LeasePolicy;
using cache::LeaseStep;
using Time = Fleet::Time;

CircuitBreaker::Clock::time_point point(Time now) {
  return CircuitBreaker::Clock::time_point(now);
}

LeasePolicy::Time coarse(Time time) {
  return std::chrono::duration_cast<LeasePolicy::Time>(time);
}

/// A thread of a host and what it does at present.
struct Thread {
  enum class Stage : std::uint8_t { look, turn, compile, upload, release };
  std::size_t host = 0;
  std::size_t key = 0;
  Stage stage = Stage::look;
  Time sent{0};   ///< when its request was sent
  Time began{0};  ///< when its turn began
  std::optional<LeasePolicy> policy;

  /// True if the stage is a request to the server.
  [[nodiscard]] bool asks() const {
    return stage != Stage::compile && (stage != Stage::turn || policy->step() != LeaseStep::wait);
  }
};

struct Host {
  CircuitBreaker reads;
  CircuitBreaker writes;
  CircuitBreaker leases;
  std::size_t next = 0;            ///< number of kernels that were begun
  std::vector<std::size_t> order;  ///< of the kernels; empty: that of their numbers
  bool dead = false;
};

struct Lease {
  std::string token;
  Time end{0};
};

/// The server and the states of its keys.
struct Key {
  bool published = false;
  std::optional<Lease> lease;
  Time compile{0};
  std::uint64_t compiles = 0;
};

/// The moment at which a thread's request reaches the server, or its pause or compile ends.
struct Event {
  Time time;
  std::uint64_t number;  ///< decides between equal times
  std::size_t thread;
  bool operator<(const Event& other) const {
    return time != other.time ? time > other.time : number > other.number;
  }
};

class Simulation {
 public:
  explicit Simulation(const Fleet& fleet)
      : fleet_(fleet),
        random_(fleet.seed),
        hosts_(static_cast<std::size_t>(fleet.hosts)),
        keys_(static_cast<std::size_t>(fleet.keys)) {
    for (Key& key : keys_) {
      key.compile = Time(between(fleet.shortest_compile.count(), fleet.longest_compile.count()));
    }
    for (Host& host : hosts_) {
      host.order = fleet.shuffled ? cache::own_order(keys_.size(), random_()) : std::vector<std::size_t>();
    }
  }

  FleetResult run() {
    const Time start = std::chrono::seconds(1);
    for (std::size_t host = 0; host < hosts_.size(); ++host) {
      for (int i = 0; i < fleet_.threads; ++i) {
        threads_.emplace_back().host = host;
        begin_key(threads_.size() - 1, start);
      }
    }
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      handle(event.thread, event.time);
    }
    for (const Key& key : keys_) {
      result_.compiles += key.compiles;
      result_.most_compiles = std::max(result_.most_compiles, key.compiles);
    }
    result_.peak_requests = seconds_.empty() ? 0 : *std::max_element(seconds_.begin(), seconds_.end());
    result_.seconds = std::chrono::duration<double>(last_ - start).count();
    return result_;
  }

 private:
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most - least + 1));
  }

  void at(Time time, std::size_t thread) { events_.push({time, ++events_so_far_, thread}); }

  void ask(std::size_t thread, Time now) {
    threads_[thread].sent = now;
    at(now + fleet_.round_trip / 2, thread);
  }

  void begin_key(std::size_t index, Time now) {
    Thread& thread = threads_[index];
    Host& host = hosts_[thread.host];
    last_ = std::max(last_, now);
    if (host.next == keys_.size()) {
      return;
    }
    thread.key = host.order.empty() ? host.next : host.order[host.next];
    ++host.next;
    thread.policy.reset();
    thread.stage = Thread::Stage::look;
    if (host.reads.allows(point(now))) {
      ask(index, now);
    } else {
      begin_turn(index, now);
    }
  }

  void begin_turn(std::size_t index, Time now) {
    Thread& thread = threads_[index];
    Host& host = hosts_[thread.host];
    if (!fleet_.leases || host.writes.pauses() || !host.leases.allows(point(now))) {
      begin_compile(index, now);
      return;
    }
    cache::LeaseTimes times;
    times.duration = coarse(fleet_.lease);
    thread.policy.emplace(
        times, random_(), thread.host,
        coarse(now) + cache::time_to_wait(coarse(fleet_.wait), coarse(fleet_.request_time)));
    thread.stage = Thread::Stage::turn;
    thread.began = now;
    ask(index, now);
  }

  /// Does what the policy says after its last step.
  void go_on(std::size_t index, Time now) {
    Thread& thread = threads_[index];
    result_.longest_wait =
        std::max(result_.longest_wait, std::chrono::duration<double>(now - thread.began).count());
    switch (thread.policy->step()) {
      case LeaseStep::use:
        end_key(index, now);
        break;
      case LeaseStep::compile:
        begin_compile(index, now);
        break;
      case LeaseStep::wait:
        at(now + thread.policy->pause(), index);
        break;
      default:
        ask(index, now);
        break;
    }
  }

  void begin_compile(std::size_t index, Time now) {
    Thread& thread = threads_[index];
    const bool held = thread.policy && thread.policy->holds();
    if (held && static_cast<double>(random_() >> 11) * 0x1p-53 < fleet_.killed) {
      hosts_[thread.host].dead = true;
      ++result_.dead;
      return;
    }
    result_.free_compiles += held ? 0 : 1;
    thread.stage = Thread::Stage::compile;
    at(now + keys_[thread.key].compile, index);
  }

  void end_key(std::size_t index, Time now) {
    Thread& thread = threads_[index];
    if (thread.policy && thread.policy->holds() && thread.stage != Thread::Stage::release) {
      thread.stage = Thread::Stage::release;
      ask(index, now);
    } else {
      begin_key(index, now);
    }
  }

  void handle(std::size_t index, Time now) {
    Thread& thread = threads_[index];
    if (hosts_[thread.host].dead) {
      return;
    }
    if (thread.asks()) {
      answer(index, now);
    } else if (thread.stage == Thread::Stage::turn) {
      thread.policy->ended(LeaseAnswer::done, coarse(now));
      go_on(index, now);
    } else {
      ++keys_[thread.key].compiles;
      thread.stage = Thread::Stage::upload;
      if (hosts_[thread.host].writes.allows(point(now))) {
        ask(index, now);
      } else {
        end_key(index, now);
      }
    }
  }

  /// Serves the request of a thread that has reached the server, which answers in order of arrival.
  void answer(std::size_t index, Time arrival) {
    Thread& thread = threads_[index];
    free_ = std::max(free_, arrival) + Time(static_cast<std::int64_t>(1e6 / fleet_.capacity));
    count_request(free_);
    const LeaseAnswer answer = serve(thread, free_);
    Time now = free_ + fleet_.round_trip / 2;
    const bool late = now > thread.sent + fleet_.request_time;
    if (late) {
      now = thread.sent + fleet_.request_time;
      ++result_.failures;
    }
    receive(index, late ? LeaseAnswer::failed : answer, now);
  }

  void count_request(Time time) {
    ++result_.requests;
    const auto second = static_cast<std::size_t>(time.count() / 1'000'000);
    seconds_.resize(std::max(seconds_.size(), second + 1));
    ++seconds_[second];
  }

  LeaseAnswer serve(Thread& thread, Time now) {
    Key& key = keys_[thread.key];
    if (key.lease && fleet_.expiring && key.lease->end <= now) {
      key.lease.reset();
    }
    const LeaseAnswer entry = key.published ? LeaseAnswer::done : LeaseAnswer::absent;
    if (thread.stage == Thread::Stage::look) {
      return entry;
    }
    if (thread.stage == Thread::Stage::upload) {
      key.published = true;
      return LeaseAnswer::done;
    }
    if (thread.stage == Thread::Stage::release) {
      if (key.lease && key.lease->token == thread.policy->token()) {
        key.lease.reset();
      }
      return LeaseAnswer::done;
    }
    const LeaseStep step = thread.policy->step();
    if (step == LeaseStep::read_entry) {
      return entry;
    }
    if (step == LeaseStep::read_lease) {
      read_ = key.lease ? key.lease->token : std::string();
      return key.lease ? LeaseAnswer::done : LeaseAnswer::absent;
    }
    if (step == LeaseStep::claim && key.lease) {
      return LeaseAnswer::taken;
    }
    key.lease = Lease{thread.policy->token(), now + fleet_.lease};
    return LeaseAnswer::done;
  }

  void receive(std::size_t index, LeaseAnswer answer, Time now) {
    Thread& thread = threads_[index];
    Host& host = hosts_[thread.host];
    const bool of_entry =
        thread.stage == Thread::Stage::look ||
        (thread.stage == Thread::Stage::turn && thread.policy->step() == LeaseStep::read_entry);
    CircuitBreaker& breaker = of_entry                                ? host.reads
                              : thread.stage == Thread::Stage::upload ? host.writes
                                                                      : host.leases;
    answer == LeaseAnswer::failed ? breaker.failed(point(now)) : breaker.succeeded();
    if (thread.stage == Thread::Stage::turn) {
      thread.policy->ended(answer, coarse(now), read_);
      go_on(index, now);
    } else if (thread.stage == Thread::Stage::look && answer != LeaseAnswer::done) {
      begin_turn(index, now);
    } else {
      end_key(index, now);
    }
  }

  const Fleet& fleet_;
  std::mt19937_64 random_;
  std::vector<Host> hosts_;
  std::vector<Key> keys_;
  std::vector<Thread> threads_;
  std::priority_queue<Event> events_;
  std::uint64_t events_so_far_ = 0;
  std::vector<std::uint64_t> seconds_;  ///< requests in each second
  std::string read_;                    ///< the lease that was read last
  Time free_{0};                        ///< when the server is free for the next request
  Time last_{0};                        ///< when a thread had its last kernel
  FleetResult result_;
};

}  // namespace

FleetResult simulate(const Fleet& fleet) {
  return Simulation(fleet).run();
}

}  // namespace kerncast::bench
