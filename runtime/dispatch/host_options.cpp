#include "runtime/dispatch/host_options.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kerncast/version.hpp"
#include "runtime/dispatch/entry_proof.hpp"
#include "runtime/dispatch/source_text/embedded_templates.hpp"
#include "runtime/dispatch/tunables/built_in_records.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/printable.hpp"

namespace kerncast {
namespace {

void warn_on_stderr(std::string_view text) {
  std::fprintf(stderr, "kerncast: warning: %.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace

cache::WarningSink warning_sink(const RuntimeOptions& options) {
  return [warn = options.warn](std::string_view raw) {
    const std::string text = printable_line(raw);
    if (!warn) {
      warn_on_stderr(text);
      return;
    }
    try {
      warn(text);
    } catch (...) {
      warn_on_stderr(text);
    }
  };
}

cache::CacheOptions cache_options(const RuntimeOptions& options) {
  cache::CacheOptions out = cache::options_from_environment(warning_sink(options));
  if (!options.cache_directory.empty()) {
    out.directory = options.cache_directory;
  }
  if (!options.cache_read_only.empty()) {
    out.read_only = options.cache_read_only;
  }
  if (!options.cache_remote.empty()) {
    out.remote.address = cache::RemoteAddress(options.cache_remote);
  }
  if (!options.cache_remote_credentials.empty()) {
    out.remote.credentials_file = options.cache_remote_credentials;
  }
  out.remote.read_only = options.cache_remote_read_only.value_or(out.remote.read_only);
  out.remote.leases = options.cache_remote_leases.value_or(out.remote.leases);
  out.budget.bytes = options.cache_max_bytes.value_or(out.budget.bytes);
  out.budget.entries = options.cache_max_entries.value_or(out.budget.entries);
  out.trust_everyone = options.cache_trust.value_or(out.trust_everyone);
  if (!options.cache_owners.empty()) {
    out.owners = options.cache_owners;
  }
  if (!options.cache_trusted_keys.empty()) {
    out.trusted_keys = options.cache_trusted_keys;
  }
  if (!options.cache_signing_key.empty()) {
    out.signing_key = options.cache_signing_key;
  }
  out.hostname = options.cache_hostname.value_or(out.hostname);
  out.build = version();
  out.disproof = disproof;
  out.built_in_tuned = [warn = warning_sink(options)] {
    std::vector<std::string> defects;
    std::vector<cache::TunedRecord> records = built_in_records(embedded_tuned(), defects);
    for (const std::string& defect : defects) {
      warn(fmt::format("a tuned record that comes with the library is not used: {}", defect));
    }
    return records;
  };
  return out;
}

MissPolicy miss_policy(const RuntimeOptions& options) {
  const std::string strict = environment("KERNCAST_STRICT");
  return options.miss_policy.value_or(strict.empty() || strict == "0" ? MissPolicy::compile
                                                                      : MissPolicy::cache_only);
}

bool programmatic_launch(const RuntimeOptions& options) {
  return options.programmatic_launch.value_or(environment("KERNCAST_PDL") != "0");
}

std::unique_ptr<compiler::worker::Pool> worker_pool(const CompileWorkers& workers, const std::string& nvrtc,
                                                    cache::Store& store) {
  if (workers.command.empty()) {
    return nullptr;
  }
  compiler::worker::PoolOptions options;
  options.command = {workers.command, "worker"};
  if (!nvrtc.empty()) {
    options.command.insert(options.command.end(), {"--nvrtc", nvrtc});
  }
  options.jobs = workers.jobs > 0 ? workers.jobs : static_cast<int>(std::thread::hardware_concurrency());
  options.memory_bytes = workers.memory_bytes;
  options.timeout_ms = std::int64_t{1000} * workers.timeout_s;
  options.keep_failed = [&store](const std::string& name, std::string_view source) {
    return store.keep_failed(name, source);
  };
  return std::make_unique<compiler::worker::Pool>(std::move(options));
}

}  // namespace kerncast
