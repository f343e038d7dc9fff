#include "cache/cache.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <system_error>
#include <utility>

#include "cache/directory/compiler_marks.hpp"
#include "cache/open_layer.hpp"
#include "runtime/util/environment.hpp"
#include "runtime/util/split.hpp"

namespace kerncast::cache {
namespace {

// A process whose launches fail for one entry again and again tells of it once, and a process that refuses
// all of a layer does not fill the log.
constexpr std::size_t most_logged_refusals = 1024;

std::int64_t now_ns() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

bool is_url(const std::string& text) {
  return text.find("://") != std::string::npos;
}

void read_amount(const char* name, std::uint64_t& amount, const WarningSink& warn) {
  const std::string text = environment(name);
  if (!text.empty() && !parse_amount(text, amount) && warn) {
    // A URL in the wrong variable may hold a password.
    warn(fmt::format("{}={} is not an amount; write a number, or one like 2G or 512M", name,
                     is_url(text) ? "***" : text));
  }
}

/// The paths of KERNCAST_CACHE_READONLY.
std::vector<std::string> read_only_paths(const WarningSink& warn) {
  const std::string text = environment("KERNCAST_CACHE_READONLY");
  if (!is_url(text)) {
    return non_empty_parts(text, ':');
  }
  if (warn) {
    warn("KERNCAST_CACHE_READONLY holds a URL and is ignored; KERNCAST_CACHE_REMOTE names a server");
  }
  return {};
}

bool holds(const Compilers& compilers, std::string_view version) {
  return !compilers || std::find(compilers->begin(), compilers->end(), version) != compilers->end();
}

}  // namespace

CacheOptions options_from_environment(const WarningSink& warn) {
  CacheOptions options;
  options.directory = default_directory();
  options.read_only = read_only_paths(warn);
  options.remote.address = RemoteAddress(environment("KERNCAST_CACHE_REMOTE"));
  options.remote.credentials_file = environment("KERNCAST_CACHE_REMOTE_CREDENTIALS");
  options.remote.read_only = environment("KERNCAST_CACHE_REMOTE_READONLY") == "1";
  options.remote.leases = environment("KERNCAST_CACHE_REMOTE_LEASES") != "0";
  auto timeout = static_cast<std::uint64_t>(options.remote.timeout.count());
  read_amount("KERNCAST_CACHE_REMOTE_TIMEOUT_MS", timeout, warn);
  options.remote.timeout = std::chrono::milliseconds(std::clamp<std::uint64_t>(timeout, 1, 600'000));
  auto wait = static_cast<std::uint64_t>(options.wait.count());
  read_amount("KERNCAST_CACHE_WAIT_MS", wait, warn);
  options.wait = std::chrono::milliseconds(std::min<std::uint64_t>(wait, 3'600'000));
  read_amount("KERNCAST_CACHE_MAX_BYTES", options.budget.bytes, warn);
  read_amount("KERNCAST_CACHE_MAX_ENTRIES", options.budget.entries, warn);
  options.trust_everyone = environment("KERNCAST_CACHE_TRUST") == "1";
  options.owners = non_empty_parts(environment("KERNCAST_CACHE_OWNERS"), ',');
  options.hostname = environment("KERNCAST_CACHE_HOSTNAME") == "1";
  options.signing_key = environment("KERNCAST_SIGNING_KEY");
  options.trusted_keys = environment("KERNCAST_TRUSTED_KEYS");
  return options;
}

const Trust& directory_trust(const CacheOptions& options) {
  return options.trust_everyone ? Trust::everyone : Trust::mine;
}

Trust layer_trust(const CacheOptions& options, const WarningSink& warn) {
  Trust trust{!options.trust_everyone, {}};
  for (const std::string& owner : options.owners) {
    if (const std::optional<uid_t> user = user_called(owner)) {
      trust.owners.push_back(*user);
    } else if (warn) {
      warn(fmt::format("KERNCAST_CACHE_OWNERS: there is no user {}", owner));
    }
  }
  return trust;
}

RemoteOptions remote_options(const CacheOptions& options) {
  RemoteOptions out = options.remote;
  out.credentials_trust = directory_trust(options);
  // A miss waits for two leases at most, which leaves half of its time.
  out.lease = std::clamp<std::chrono::milliseconds>(std::min(out.lease, options.wait / 4),
                                                    std::chrono::seconds(1), std::chrono::seconds(60));
  return out;
}

Cache::Cache(CacheOptions options, WarningSink warn)
    : wait_(options.wait),
      warnings_(warn),
      store_(options.directory, warn, directory_trust(options), options.budget,
             [this] { return usage_.name(); }),
      memory_(options.memory_bytes),
      disproof_(std::move(options.disproof)),
      trusted_keys_(options.trusted_keys, warn),
      build_(std::move(options.build)),
      host_(options.hostname ? host_name() : std::string()),
      remote_(remote_options(options), warnings_, counters_),
      usage_(store_.root(), store_.trust()),
      tuning_(store_.root(), std::move(warn), directory_trust(options),
              [this](TunedRecord& record) {
                if (signing_key_) {
                  signing_key_->sign(record);
                }
              }),
      read_built_in_(std::move(options.built_in_tuned)) {
  const Trust trust = layer_trust(
      options, [this](std::string_view text) { warnings_.once(std::string(text), std::string(text)); });
  read_signing_key(options.signing_key);
  for (std::string& path : options.read_only) {
    read_only_.push_back(open_read_only_layer(std::move(path), trust));
  }
}

void Cache::read_signing_key(const std::string& path) {
  std::string defect;
  if (!path.empty()) {
    signing_key_ = SigningKey::read(path, defect);
  }
  if (!defect.empty()) {
    warnings_.once(
        "signing key",
        fmt::format("the signing key {} is not used ({}); what is published is not signed", path, defect));
  }
}

Cache::~Cache() {
  try {
    // The entries that this process used may be evicted now. If it is killed instead, the next process does
    // so.
    if (!usage_.name().empty()) {
      store_.finish_trim();
    }
    usage_.count(counters());
  } catch (const std::exception&) {
    return;  // The counts since the last ones that were written are lost.
  }
}

bool LayerCompilers::may_hold(std::string_view version) const {
  return remote || holds(directory, version) ||
         std::any_of(read_only.begin(), read_only.end(),
                     [&](const Compilers& layer) { return holds(layer, version); });
}

LayerCompilers Cache::compilers() const {
  LayerCompilers out;
  out.directory =
      store_.root().empty() ? Compilers(std::in_place) : marked_compilers(Folder::open(store_.root()));
  for (const std::unique_ptr<ReadOnlyLayer>& layer : read_only_) {
    out.read_only.push_back(layer->compilers());
  }
  out.remote = remote_.usable();
  return out;
}

Hit Cache::load(const Key& key, OnMiss on_miss) {
  WaitBudget budget = wait_budget();
  return load(key, on_miss, budget);
}

Hit Cache::load(const Key& key, OnMiss on_miss, WaitBudget& budget) {
  return load(key, on_miss, budget, nullptr, {});
}

Hit Cache::load(const Key& key, OnMiss on_miss, WaitBudget& budget, const LayerCompilers& layers,
                std::string_view version) {
  return load(key, on_miss, budget, &layers, version);
}

Hit Cache::load_above(const Key& key, const LayerCompilers* layers, std::string_view version) {
  if (const Entry* entry = memory_.find(key); entry != nullptr && defect_of(*entry).empty()) {
    counters_.add(&CacheCounters::memory_hits);
    // No shared ownership: the memory cache keeps the entry as long as it lives.
    return {std::shared_ptr<const Entry>(std::shared_ptr<void>(), entry), Layer::memory};
  }
  const std::int64_t started = now_ns();
  if (layers == nullptr || holds(layers->directory, version)) {
    if (std::optional<Entry> entry = load_from_directory(key)) {
      return found(key, std::move(*entry), Layer::directory, store_.root(), &CacheCounters::directory_hits,
                   started);
    }
  }
  for (std::size_t i = 0; i < read_only_.size(); ++i) {
    const std::unique_ptr<ReadOnlyLayer>& layer = read_only_[i];
    if (layers != nullptr && !holds(layers->read_only[i], version)) {
      continue;
    }
    LayerAnswer answer = checked(key, layer->load(key));
    if (answer.entry) {
      return promoted(key, std::move(*answer.entry), Layer::read_only, layer->name(),
                      &CacheCounters::read_only_hits, started);
    }
    note_unused(key, layer->name(), answer.defect);
  }
  return {};
}

Hit Cache::load(const Key& key, OnMiss on_miss, WaitBudget& budget, const LayerCompilers* layers,
                std::string_view version) {
  if (Hit hit = load_above(key, layers, version)) {
    return hit;
  }
  const std::int64_t started = now_ns();
  LayerAnswer answer = checked(key, remote_.load(key, budget));
  if (answer.entry) {
    return promoted(key, std::move(*answer.entry), Layer::remote, remote_.name(), &CacheCounters::remote_hits,
                    started);
  }
  note_unused(key, remote_.name(), answer.defect);
  if (on_miss == OnMiss::count) {
    counters_.add(&CacheCounters::misses);
  }
  warn_of_missing_layers();
  return {};
}

void Cache::warn_of_missing_layers() {
  for (const std::unique_ptr<ReadOnlyLayer>& layer : read_only_) {
    if (struct stat info{}; ::stat(layer->name().c_str(), &info) != 0) {
      warnings_.once("no layer " + layer->name(),
                     fmt::format("the read-only layer {} cannot be opened ({}), and it may hold what was not "
                                 "found elsewhere; correct KERNCAST_CACHE_READONLY, or mount it",
                                 layer->name(), std::generic_category().message(errno)));
    }
  }
}

Hit Cache::load_published(const Key& key) {
  const std::int64_t started = now_ns();
  std::optional<Entry> entry = load_from_directory(key);
  return entry ? found(key, std::move(*entry), Layer::directory, store_.root(),
                       &CacheCounters::directory_hits, started)
               : Hit{};
}

void Cache::share(const Key& key) {
  WaitBudget budget = wait_budget();
  remote_.share(key, [&] { return load_above(key, nullptr, {}).entry; }, budget);
}

bool Cache::outlives_process(const Key& key, std::size_t layers) {
  if (load_from_directory(key)) {
    return true;
  }
  for (std::size_t i = 0; i < std::min(layers, read_only_.size()); ++i) {
    if (checked(key, read_only_[i]->load(key)).entry) {
      return true;
    }
  }
  WaitBudget budget = wait_budget();
  return checked(key, remote_.load(key, budget)).entry.has_value();
}

Hit Cache::found(const Key& key, Entry entry, Layer layer, const std::string& place,
                 std::uint64_t CacheCounters::* counter, std::int64_t started_ns) {
  auto shared = std::make_shared<const Entry>(std::move(entry));
  memory_.insert(key, shared);
  counters_.add(counter);
  counters_.add(&CacheCounters::bytes_read, shared->cubin.size() + shared->ptx.size());
  counters_.add(&CacheCounters::load_us, static_cast<std::uint64_t>(now_ns() - started_ns) / 1000);
  if (layer == Layer::directory) {
    note_use(key);
  }
  return {std::move(shared), layer, place};
}

Hit Cache::promoted(const Key& key, Entry entry, Layer layer, const std::string& from,
                    std::uint64_t CacheCounters::* counter, std::int64_t started_ns) {
  entry.provenance =
      copied_now(entry.provenance, layer == Layer::remote ? CopySource::server : CopySource::layer, from);
  bool in_directory = false;
  if (const std::string root = lock_root(); !root.empty()) {
    // Processes that start together find the same entries, and one copy into the directory is enough.
    const ProcessLock lock(root, key, 0, store_.trust());
    in_directory = lock.waited() || copy_to_directory(key, entry, from);
  }
  Hit hit = found(key, std::move(entry), layer, from, counter, started_ns);
  if (in_directory) {
    note_use(key);
  }
  return hit;
}

bool Cache::copy_to_directory(const Key& key, const Entry& entry, const std::string& from) {
  if (!store_.promote(key, entry)) {
    return false;
  }
  counters_.add(&CacheCounters::promoted);
  counters_.add(&CacheCounters::bytes_written, entry.cubin.size() + entry.ptx.size());
  store_.log({EventKind::promotion, key, entry.op, from, {}});
  return true;
}

void Cache::note_unused(const Key& key, const std::string& layer, const std::string& defect) {
  if (defect.empty()) {
    return;
  }
  counters_.add(&CacheCounters::refused);
  if (warnings_.is_first(fmt::format("log {} {}", layer, key.hex()), most_logged_refusals)) {
    store_.log({EventKind::refusal, key, {}, layer, defect});
  }
  warnings_.once("layer " + layer, fmt::format("an entry of {} is not used ({}); the kernel is looked for "
                                               "elsewhere or compiled",
                                               layer, defect));
}

bool Cache::refuse(const Key& key, const Key& code, const std::string& reason) {
  if (!refused_code_.refuse(code)) {
    return false;
  }
  warnings_.once("code " + code.hex(), fmt::format("a cached kernel cannot be loaded ({}); it is looked for "
                                                   "elsewhere or compiled again",
                                                   reason));
  store_.log({EventKind::refusal, key, {}, {}, reason});
  static_cast<void>(load_from_directory(key));
  return true;
}

std::string Cache::defect_of(const Entry& entry) const {
  if (refused_code_.any() &&
      refused_code_.contains(code_digest(entry.cubin, entry.ptx, entry.lowered_name))) {
    return "its code could not be loaded";
  }
  return {};
}

std::optional<Entry> Cache::load_from_directory(const Key& key) {
  return refused_code_.any() ? store_.load(key, [this](const Entry& entry) { return defect_of(entry); })
                             : store_.load(key);
}

LayerAnswer Cache::checked(const Key& key, LayerAnswer answer) const {
  if (answer.entry) {
    answer.defect = defect_of(*answer.entry);
    if (answer.defect.empty() && disproof_) {
      answer.defect = disproof_(key, *answer.entry);
    }
    if (answer.defect.empty()) {
      answer.defect = trusted_keys_.defect_of(key, *answer.entry);
    }
    if (!answer.defect.empty()) {
      answer.entry.reset();
    }
  }
  return answer;
}

ProcessLock Cache::lock(const Key& key, WaitBudget& budget) {
  const auto asked = std::chrono::steady_clock::now();
  const WaitBudget::Wait wait(budget);
  const bool patient = locks_.allows(asked);
  const int patience = patient ? static_cast<int>(wait.deadline().left().count()) : 0;
  ProcessLock lock(lock_root(), key, patience, store_.trust());
  const auto now = std::chrono::steady_clock::now();
  if (lock.waited()) {
    counters_.add(&CacheCounters::waits);
    counters_.add(&CacheCounters::wait_us,
                  static_cast<std::uint64_t>(
                      std::chrono::duration_cast<std::chrono::microseconds>(now - asked).count()));
  }
  if (patient && lock.waited() && !lock.held()) {
    locks_.failed(now);
    warnings_.once("lock",
                   fmt::format("another process has kept the lock of a kernel for {} ms in {}; it may "
                               "be stopped. The kernel is compiled here too",
                               wait_.count(), store_.root()));
  } else if (patient) {
    locks_.succeeded();
  }
  return lock;
}

Turn Cache::take_turn(const Key& key, WaitBudget& budget) {
  LayerAnswer answer;
  RemoteLease lease = remote_.take_turn(key, budget, [&](LayerAnswer got) {
    answer = checked(key, std::move(got));
    return answer.entry.has_value();
  });
  note_unused(key, remote_.name(), answer.defect);
  if (!answer.entry) {
    return {{}, std::move(lease)};
  }
  const std::int64_t started = now_ns();
  answer.entry->provenance = copied_now(answer.entry->provenance, CopySource::server, remote_.name());
  const bool in_directory = copy_to_directory(key, *answer.entry, remote_.name());
  Hit hit = found(key, std::move(*answer.entry), Layer::remote, remote_.name(), &CacheCounters::remote_hits,
                  started);
  if (in_directory) {
    note_use(key);
  }
  return {std::move(hit), std::move(lease)};
}

bool Cache::publish(const Key& key, Entry entry) {
  WaitBudget budget = wait_budget();
  return publish(key, std::move(entry), budget);
}

bool Cache::publish(const Key& key, Entry entry, WaitBudget& budget) {
  refused_code_.vouch_for(code_digest(entry.cubin, entry.ptx, entry.lowered_name));
  entry.provenance = compiled_now(build_, host_);
  if (signing_key_) {
    signing_key_->sign(key, entry);
  }
  const bool written = store_.publish(key, entry);
  const auto shared = std::make_shared<const Entry>(std::move(entry));
  memory_.insert(key, shared);
  if (written) {
    counters_.add(&CacheCounters::bytes_written, shared->cubin.size() + shared->ptx.size());
    note_use(key);
  }
  remote_.put(key, *shared, budget);
  return written;
}

void Cache::note_use(const Key& key) {
  if (usage_.used(key, [this] { return counters(); })) {
    store_.finish_trim();
  }
}

const TunedTable& Cache::tuned() {
  std::call_once(tuned_once_, [this] {
    tuned_.add(store_.root(), tuning_.list());
    for (const std::unique_ptr<ReadOnlyLayer>& layer : read_only_) {
      std::string defect;
      std::vector<TunedRecord> records = layer->tuned(defect);
      if (!defect.empty()) {
        warnings_.once("tuned " + layer->name(),
                       fmt::format("the tuned records of {} are not used: {}", layer->name(), defect));
      }
      leave_out_untrusted(layer->name(), records);
      tuned_.add(layer->name(), std::move(records));
    }
    tuned_.add(built_in_layer, built_in_tuned());
  });
  return tuned_;
}

std::vector<TunedRecord> Cache::built_in_tuned() const {
  return read_built_in_ ? read_built_in_() : std::vector<TunedRecord>();
}

void Cache::leave_out_untrusted(const std::string& layer, std::vector<TunedRecord>& records) {
  const std::size_t all = records.size();
  std::string first;
  records.erase(std::remove_if(records.begin(), records.end(),
                               [&](const TunedRecord& record) {
                                 const std::string defect = trusted_keys_.defect_of(record);
                                 first = first.empty() ? defect : first;
                                 return !defect.empty();
                               }),
                records.end());
  if (records.size() < all) {
    warnings_.once("untrusted tuned " + layer,
                   fmt::format("{} of the {} tuned records of {} are not used; the first because {}",
                               all - records.size(), all, layer, first));
  }
}

void Cache::count_miss() {
  counters_.add(&CacheCounters::misses);
}

void Cache::count_compile(std::uint64_t microseconds) {
  counters_.add(&CacheCounters::compiles);
  counters_.add(&CacheCounters::compile_us, microseconds);
}

CacheCounters Cache::counters() const {
  CacheCounters out = counters_.sum();
  out.published = store_.counters().published;
  out.failed_publishes = store_.counters().failed_publishes;
  out.quarantined = store_.counters().quarantined;
  out.evicted = store_.counters().evicted;
  out.evicted_bytes = store_.counters().evicted_bytes;
  return out;
}

std::string Cache::lock_root() {
  return store_.usable() ? store_.root() : std::string();
}

}  // namespace kerncast::cache
