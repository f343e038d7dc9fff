#include "cache/remote/remote_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cache/layout.hpp"

namespace kerncast::cache {

std::string object_name(const Key& key) {
  return fmt::format("{}-{}{}", layout::entries, key.hex(), layout::entry_suffix);
}

namespace {

std::unique_ptr<RemoteServer> connected(const RemoteOptions& options, WarnOnce& warnings) {
  std::string defect;
  std::unique_ptr<RemoteServer> server = options.address.empty() ? nullptr : remote_server(options, defect);
  if (!defect.empty()) {
    warnings.once("remote",
                  fmt::format("the remote cache {} is not used: {}", options.address.name(), defect));
  }
  return server;
}

}  // namespace

RemoteStore::RemoteStore(const RemoteOptions& options, WarnOnce& warnings, Counters& counters)
    : RemoteStore(connected(options, warnings), options, warnings, counters) {}

RemoteStore::RemoteStore(std::unique_ptr<RemoteServer> server, RemoteOptions options, WarnOnce& warnings,
                         Counters& counters)
    : options_(std::move(options)),
      warnings_(warnings),
      counters_(counters),
      server_(std::move(server)),
      leases_(server_.get(), options_, warnings, counters) {}

LayerAnswer RemoteStore::load(const Key& key, WaitBudget& budget) {
  return look(key, budget).answer;
}

RemoteLease RemoteStore::take_turn(const Key& key, WaitBudget& budget, const Accept& accept) {
  // A kernel that cannot be uploaded helps nobody who would wait for it.
  if (writes_.pauses()) {
    return {};
  }
  return leases_.take_turn(key, budget, [&] {
    Look seen = look(key, budget);
    if (!seen.asked) {
      return LeaseAnswer::failed;
    }
    return accept(std::move(seen.answer)) ? LeaseAnswer::done : LeaseAnswer::absent;
  });
}

RemoteStore::Look RemoteStore::look(const Key& key, WaitBudget& budget) {
  if (server_ == nullptr || !reads_.allows(CircuitBreaker::Clock::now())) {
    return {};
  }
  const WaitBudget::Wait wait(budget);
  if (wait.deadline().expired()) {
    return {};
  }
  const RemoteAnswer answer = server_->get(object_name(key), deadline(wait));
  if (answer.state == RemoteState::failed) {
    failed(reads_, answer.failure);
    return {};
  }
  if (answer.state == RemoteState::absent) {
    reads_.succeeded();
    return {true, {}};
  }
  ParsedEntry parsed = parse(key, answer.bytes);
  if (parsed.other_version) {
    reads_.succeeded();
    return {true, {}};
  }
  if (parsed.entry) {
    reads_.succeeded();
  } else {
    // The caller warns of the defect. A server that sends one bad answer may send many, slowly.
    reads_.failed(CircuitBreaker::Clock::now());
  }
  return {true, {std::move(parsed.entry), std::move(parsed.defect)}};
}

void RemoteStore::put(const Key& key, const Entry& entry, WaitBudget& budget) {
  if (server_ == nullptr || options_.read_only || !writes_.allows(CircuitBreaker::Clock::now())) {
    return;
  }
  const std::string bytes = serialise(key, entry, without_copy(entry.provenance));
  const WaitBudget::Wait wait(budget);
  if (wait.deadline().expired()) {
    return;
  }
  const RemoteAnswer answer = server_->put(object_name(key), bytes, deadline(wait));
  if (answer.state == RemoteState::done) {
    writes_.succeeded();
    counters_.add(&CacheCounters::remote_puts);
    leases_.uploaded();
    return;
  }
  if (answer.state == RemoteState::refused) {
    warnings_.once("remote",
                   fmt::format("the remote cache {} refuses an upload ({}), so what is compiled here is not "
                               "shared; KERNCAST_CACHE_REMOTE_READONLY=1 only reads from it",
                               name(), answer.failure));
  }
  failed(writes_, answer.failure);
}

void RemoteStore::share(const Key& key, const std::function<std::shared_ptr<const Entry>()>& load_entry,
                        WaitBudget& budget) {
  if (!uploads() || !reads_.allows(CircuitBreaker::Clock::now())) {
    return;
  }
  RemoteAnswer answer;
  {
    const WaitBudget::Wait wait(budget);
    if (wait.deadline().expired()) {
      return;
    }
    answer = server_->has(object_name(key), deadline(wait));
  }
  if (answer.state == RemoteState::failed) {
    failed(reads_, answer.failure);
    return;
  }
  reads_.succeeded();
  if (answer.state != RemoteState::absent) {
    return;
  }
  if (const std::shared_ptr<const Entry> entry = load_entry()) {
    put(key, *entry, budget);
  }
}

std::unique_ptr<RemoteQueue> RemoteStore::queue(std::string name, const std::vector<std::string>& items,
                                                std::chrono::milliseconds patience) {
  return uploads() ? std::make_unique<RemoteQueue>(*server_, options_, warnings_, counters_, std::move(name),
                                                   items, patience)
                   : nullptr;
}

Deadline RemoteStore::deadline(const WaitBudget::Wait& wait) const {
  return Deadline::after(std::min(options_.request_time(), wait.deadline().left()));
}

void RemoteStore::failed(CircuitBreaker& breaker, const std::string& failure) {
  breaker.failed(CircuitBreaker::Clock::now());
  counters_.add(&CacheCounters::remote_failures);
  warnings_.once("remote", fmt::format("the remote cache {} failed ({}); kernels are looked for elsewhere or "
                                       "compiled, and it is tried again in a minute",
                                       name(), failure));
}

}  // namespace kerncast::cache
