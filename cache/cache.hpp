#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/counters.hpp"
#include "cache/directory/budget.hpp"
#include "cache/directory/compiler_record.hpp"
#include "cache/directory/process_usage.hpp"
#include "cache/directory/store.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/memory_cache.hpp"
#include "cache/posix/trust.hpp"
#include "cache/posix/warn_once.hpp"
#include "cache/process_lock.hpp"
#include "cache/read_only_layer.hpp"
#include "cache/refused_code.hpp"
#include "cache/remote/remote_store.hpp"
#include "cache/remote/server/circuit_breaker.hpp"
#include "cache/signature/signing_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "cache/tuning/tuned_table.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "cache/wait_budget.hpp"

namespace kerncast::cache {

/// The reason why an entry cannot be what its key stands for; empty if nothing speaks against it.
using Disproof = std::function<std::string(const Key&, const Entry&)>;

struct CacheOptions {
  std::string directory;               ///< the user's directory; empty: none
  std::vector<std::string> read_only;  ///< read-only directories and packs, in order of search
  std::size_t memory_bytes = std::size_t{64} << 20;
  RemoteOptions remote;
  std::chrono::milliseconds wait{30'000};  ///< most that one miss waits for the server and other processes
  Budget budget;                           ///< of the user's directory
  bool trust_everyone = false;             ///< also read files that other users could have written
  /// Users, by name or number, whose read-only layers are trusted as those of this user and root are.
  std::vector<std::string> owners;
  std::string signing_key;  ///< path of the key that signs what is published; empty: nothing is signed
  /// The keys, one of which must have signed the entries and tuned records of layers below the own directory;
  /// see TrustedKeys.
  std::string trusted_keys;
  std::string build;      ///< version of Kerncast that the provenance of what is published names
  bool hostname = false;  ///< the provenance also names this machine
  /// Gives the tuned records that come with the library, in order: the lowest layer. The records
  /// need no signature. Null: there are none.
  std::function<std::vector<TunedRecord>()> built_in_tuned;
  /// Asked about each entry of a layer below the own directory, which only this user and root can write to.
  /// Null: an intact entry is used.
  Disproof disproof;
};

/// The options that the environment sets: KERNCAST_CACHE_DIR, KERNCAST_CACHE_READONLY (separated by colons),
/// KERNCAST_CACHE_REMOTE, KERNCAST_CACHE_REMOTE_CREDENTIALS, KERNCAST_CACHE_REMOTE_READONLY,
/// KERNCAST_CACHE_REMOTE_LEASES, KERNCAST_CACHE_REMOTE_TIMEOUT_MS, KERNCAST_CACHE_WAIT_MS,
/// KERNCAST_CACHE_MAX_BYTES, KERNCAST_CACHE_MAX_ENTRIES, KERNCAST_CACHE_TRUST, KERNCAST_CACHE_OWNERS
/// (separated by commas), KERNCAST_CACHE_HOSTNAME, KERNCAST_SIGNING_KEY, KERNCAST_TRUSTED_KEYS. A value that
/// cannot be parsed is ignored, with a warning to `warn`.
[[nodiscard]] CacheOptions options_from_environment(const WarningSink& warn = nullptr);

/// Whose cache directory `options` accept.
[[nodiscard]] const Trust& directory_trust(const CacheOptions& options);
/// Whose read-only layers `options` accept. A user that does not exist is left out, with a warning to `warn`.
[[nodiscard]] Trust layer_trust(const CacheOptions& options, const WarningSink& warn = nullptr);
/// The options of the remote server, with the trust that `options` have in a file of credentials.
[[nodiscard]] RemoteOptions remote_options(const CacheOptions& options);

/// The name of the layer of the tuned records that come with the library.
constexpr const char* built_in_layer = "the library";

/// The layer that served a look-up.
enum class Layer : std::uint8_t { none, memory, directory, read_only, remote };

/// An entry and the layer that it was found in. The entry is null if no layer has it.
struct Hit {
  std::shared_ptr<const Entry> entry;
  Layer layer = Layer::none;
  std::string place = {};  ///< the path of the directory or layer, or the server's name; empty: memory
  [[nodiscard]] explicit operator bool() const { return entry != nullptr; }
};

/// The outcome of a miss once it is this machine's turn: the entry that another machine compiled meanwhile.
/// If there is none, this machine compiles, and keeps the lease until it has published.
struct Turn {
  Hit hit;
  RemoteLease lease;
};

/// The compilers whose entries each layer may hold.
struct LayerCompilers {
  Compilers directory;
  std::vector<Compilers> read_only;
  bool remote = false;  ///< true if there is a server, which may hold entries of any compiler

  [[nodiscard]] bool may_hold(std::string_view version) const;
};

enum class OnMiss : std::uint8_t { count, ignore };

/// All layers of the cache. A look-up searches them in this order: the memory of this process, the user's
/// directory, read-only directories and packs, a remote server. A hit is copied into the layers above: always
/// into memory, and a hit below the user's directory also into that directory. The state of a layer never
/// causes an exception. Thread-safe; several processes may use the same directory.
class Cache {
 public:
  /// `warn` receives each distinct warning once.
  Cache(CacheOptions options, WarningSink warn);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  /// The time that a miss may wait for others, for the calls below that belong to it. A call without a budget
  /// has one of its own.
  [[nodiscard]] WaitBudget wait_budget() const { return WaitBudget(wait_); }

  /// The verified entry of `key`. A hit in memory takes no lock. Entries are valid as long as this cache.
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss = OnMiss::count);
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss, WaitBudget& budget);
  /// Looks up an entry that the compiler of `version` made. Skips the layers that hold no entry of it
  /// according to `layers`.
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss, WaitBudget& budget, const LayerCompilers& layers,
                         std::string_view version);
  /// Looks in the layers above the server. A miss is not counted, since the caller goes on to load().
  [[nodiscard]] Hit load_local(const Key& key) { return load_above(key, nullptr, {}); }
  /// The compilers that each layer names at present.
  [[nodiscard]] LayerCompilers compilers() const;
  /// Looks in the user's directory alone, for an entry that another process may have published since a miss.
  [[nodiscard]] Hit load_published(const Key& key);

  /// True if a process that starts now can load `key`: from the directory, from one of the first `layers`
  /// read-only layers, or from the server. The entry is read and verified; nothing is counted.
  [[nodiscard]] bool outlives_process(const Key& key, std::size_t layers);

  /// True if there is a server that entries are uploaded to.
  [[nodiscard]] bool uploads() const { return remote_.uploads(); }
  /// True if a miss may wait for another machine that compiles the same kernel.
  [[nodiscard]] bool takes_leases() const { return remote_.takes_leases(); }

  /// The compiler that the directory knows a `search` to have found; see compiler_record.hpp.
  [[nodiscard]] std::optional<CompilerRecord> recall_compiler(const std::string& search) {
    return cache::recall_compiler(store_, search);
  }
  /// Notes in the directory, if it exists, that a `search` found this compiler.
  void record_compiler(const std::string& search, const CompilerRecord& record) {
    cache::record_compiler(store_, search, record);
  }

  /// Publishes an entry that was compiled now: notes that as its provenance, signs it, if there is a key, and
  /// stores it in memory, in the directory and on the server. Returns false, with one warning, if it could
  /// not be written to the directory.
  bool publish(const Key& key, Entry entry);
  bool publish(const Key& key, Entry entry, WaitBudget& budget);

  /// Says that what the driver would load of an entry of `key` cannot be loaded, because of `reason`. No
  /// layer serves this `code` (see code_digest) any more, and the own directory's file is moved to
  /// quarantine. False, without effect, if this process compiled the code itself.
  bool refuse(const Key& key, const Key& code, const std::string& reason);

  /// The lock under which the kernel of `key` is compiled. It is not held if another process keeps it longer
  /// than the budget lasts. After that no lock is waited for for a while, since the holder may be stopped.
  [[nodiscard]] ProcessLock lock(const Key& key, WaitBudget& budget);

  /// Waits, after a miss and under its lock, until another machine has uploaded the kernel of `key` or this
  /// one has to compile it. Without a server that has leases it is this machine's turn at once. The turn ends
  /// before the budget and the cache.
  [[nodiscard]] Turn take_turn(const Key& key, WaitBudget& budget);
  /// The queue called `name` of work that machines share, on the server; see RemoteQueue. Null without a
  /// server that entries are uploaded to. It ends before this object.
  [[nodiscard]] std::unique_ptr<RemoteQueue> queue(std::string name, const std::vector<std::string>& items,
                                                   std::chrono::milliseconds patience) {
    return remote_.queue(std::move(name), items, patience);
  }
  /// Uploads the entry of `key` that a layer above the server has, unless the server has one.
  void share(const Key& key);
  /// Ends all waits for other machines, now and later, so that their misses compile.
  void stop_waiting() { remote_.stop_waiting(); }

  /// The tuned records of the directory, of the read-only layers and of the library, as read at the first
  /// call. If signatures are demanded, records of read-only layers that no trusted key has signed are left
  /// out.
  [[nodiscard]] const TunedTable& tuned();
  /// The tuned records that come with the library, which tuned() has as a layer called built_in_layer.
  [[nodiscard]] std::vector<TunedRecord> built_in_tuned() const;

  /// Counts a miss of a caller whose loads used OnMiss::ignore.
  void count_miss();
  void count_compile(std::uint64_t microseconds);
  /// The counters of this object. counters_of() has the sum over all processes of a directory.
  [[nodiscard]] CacheCounters counters() const;

  /// Folder for process locks. Empty if the cache directory is not trusted.
  [[nodiscard]] std::string lock_root();
  [[nodiscard]] Store& store() { return store_; }
  /// The tuned-record store of the cache directory. It signs what is recorded, if there is a key.
  [[nodiscard]] TuningStore& tuning() { return tuning_; }
  [[nodiscard]] const std::vector<std::unique_ptr<ReadOnlyLayer>>& read_only() const { return read_only_; }

 private:
  [[nodiscard]] Hit load(const Key& key, OnMiss on_miss, WaitBudget& budget, const LayerCompilers* layers,
                         std::string_view version);
  /// Looks in the layers above the server.
  [[nodiscard]] Hit load_above(const Key& key, const LayerCompilers* layers, std::string_view version);
  Hit found(const Key& key, Entry entry, Layer layer, const std::string& place,
            std::uint64_t CacheCounters::* counter, std::int64_t started_ns);
  /// Serves `entry`, which the layer or server that messages call `from` has, and copies it into the
  /// directory.
  Hit promoted(const Key& key, Entry entry, Layer layer, const std::string& from,
               std::uint64_t CacheCounters::* counter, std::int64_t started_ns);
  /// Writes the entry of the lower layer `from` to the directory. False if it is not there then.
  bool copy_to_directory(const Key& key, const Entry& entry, const std::string& from);
  /// Counts the entry of `key` in `layer`, which is not used because of `defect`, logs it, and warns of the
  /// layer once. Does nothing if `defect` is empty.
  void note_unused(const Key& key, const std::string& layer, const std::string& defect);
  /// The reason why a sound entry is not used; empty if it is.
  [[nodiscard]] std::string defect_of(const Entry& entry) const;
  /// The directory's entry, if it can be used.
  [[nodiscard]] std::optional<Entry> load_from_directory(const Key& key);
  /// `answer` of a layer below the own directory about `key`, as a defect if its entry cannot be used.
  [[nodiscard]] LayerAnswer checked(const Key& key, LayerAnswer answer) const;
  /// Warns of layers that do not exist at a miss: a path with a slip in it, or a mount that is not there.
  void warn_of_missing_layers();
  void read_signing_key(const std::string& path);
  void note_use(const Key& key);
  /// Removes the records of `layer` that are not signed as demanded, with one warning.
  void leave_out_untrusted(const std::string& layer, std::vector<TunedRecord>& records);

  std::chrono::milliseconds wait_;
  Counters counters_;
  WarnOnce warnings_;
  Store store_;
  MemoryCache memory_;
  RefusedCode refused_code_;
  Disproof disproof_;
  TrustedKeys trusted_keys_;
  std::optional<SigningKey> signing_key_;
  std::string build_;
  std::string host_;  ///< empty unless entries are to name it
  std::vector<std::unique_ptr<ReadOnlyLayer>> read_only_;
  RemoteStore remote_;
  CircuitBreaker locks_;
  ProcessUsage usage_;
  TuningStore tuning_;
  std::function<std::vector<TunedRecord>()> read_built_in_;
  std::once_flag tuned_once_;
  TunedTable tuned_;
};

}  // namespace kerncast::cache
