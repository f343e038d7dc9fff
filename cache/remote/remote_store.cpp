#include "cache/remote/remote_store.hpp"

#include <fmt/format.h>

#include <utility>

#include "cache/layout.hpp"

namespace kerncast::cache {
namespace {

std::string name_of(const Key& key) {
  return fmt::format("{}-{}{}", layout::entries, key.hex(), layout::entry_suffix);
}

}  // namespace

RemoteStore::RemoteStore(RemoteOptions options, WarnOnce& warnings, Counters& counters)
    : options_(std::move(options)),
      name_(without_credentials(options_.url)),
      warnings_(warnings),
      counters_(counters) {
  std::string defect;
  server_ = options_.url.empty() ? nullptr : remote_server(options_, defect);
  if (!defect.empty()) {
    warnings_.once("remote", fmt::format("the remote cache {} is not used: {}", name_, defect));
  }
}

RemoteStore::RemoteStore(std::unique_ptr<RemoteServer> server, RemoteOptions options, WarnOnce& warnings,
                         Counters& counters)
    : options_(std::move(options)),
      name_(without_credentials(options_.url)),
      warnings_(warnings),
      counters_(counters),
      server_(std::move(server)) {}

LayerAnswer RemoteStore::load(const Key& key) {
  if (server_ == nullptr || !reads_.allows(CircuitBreaker::Clock::now())) {
    return {};
  }
  const RemoteAnswer answer = server_->get(name_of(key));
  if (answer.state == RemoteState::failed) {
    failed(reads_, answer.failure);
    return {};
  }
  reads_.succeeded();
  if (answer.state == RemoteState::absent) {
    return {};
  }
  ParsedEntry parsed = parse(key, answer.bytes);
  return {std::move(parsed.entry), std::move(parsed.defect)};
}

void RemoteStore::put(const Key& key, const Entry& entry) {
  if (server_ == nullptr || options_.read_only || !writes_.allows(CircuitBreaker::Clock::now())) {
    return;
  }
  const RemoteAnswer answer = server_->put(name_of(key), serialise(key, entry));
  if (answer.state == RemoteState::done) {
    writes_.succeeded();
    counters_.add(&CacheCounters::remote_puts);
  } else {
    failed(writes_, answer.failure);
  }
}

void RemoteStore::failed(CircuitBreaker& breaker, const std::string& failure) {
  breaker.failed(CircuitBreaker::Clock::now());
  counters_.add(&CacheCounters::remote_failures);
  warnings_.once("remote", fmt::format("the remote cache {} failed ({}); kernels are looked for elsewhere or "
                                       "compiled, and it is tried again in a minute",
                                       name_, failure));
}

}  // namespace kerncast::cache
