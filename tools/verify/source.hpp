#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/directory/store.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/trust.hpp"
#include "cache/remote/server/remote_server.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "tools/verify/entry_verifier.hpp"

namespace kerncast::tools {

/// The kind of a place that holds entries.
enum class PlaceKind : std::uint8_t { own_directory, layer, pack, server };
/// The words for a kind in reports, such as "own directory".
[[nodiscard]] std::string_view name_of(PlaceKind kind);

/// The content of a place under a key.
struct Found {
  bool present = false;
  cache::ParsedEntry parsed;
  std::string failure;  ///< why the place cannot be asked any more, as a server that does not answer
};

/// The state of what a place keeps in databases: its tuned records and, of the own directory, the index.
struct Databases {
  std::uint64_t tuned = 0;  ///< number of tuned records
  /// The records of a place whose records must be signed where signatures are demanded.
  std::vector<cache::TunedRecord> records = {};
  std::vector<std::string> defects = {};
};

/// A place whose entries are verified, or that sound copies are taken from. Reading it changes nothing in it.
/// It is used by one thread.
class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;
  /// The name for messages, which holds no secret.
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual PlaceKind kind() const = 0;
  /// The keys whose places are looked at, in order. If the place cannot be used, or only a part of it,
  /// `defect` receives the reason.
  [[nodiscard]] virtual std::vector<cache::Key> keys(std::string& defect) = 0;
  [[nodiscard]] virtual Found find(const cache::Key& key) = 0;
  [[nodiscard]] virtual Databases databases() = 0;

  [[nodiscard]] SignatureRule rule() const {
    return kind() == PlaceKind::own_directory ? SignatureRule::none : SignatureRule::as_demanded;
  }
};

/// The directory of `store` and `tuning`, which must outlive the result.
[[nodiscard]] std::unique_ptr<Source> own_source(cache::Store& store, cache::TuningStore& tuning);
/// The cache directory or the pack at `path`. Null, with the reason in `defect`, if nothing is there or it is
/// no pack. Nobody but those whom `trust` names may have written what is in it.
[[nodiscard]] std::unique_ptr<Source> file_source(const std::string& path, const cache::Trust& trust,
                                                  std::string& defect);

/// A server. It is asked for what it lists, if it can, and for the keys that it is given. After a failure it
/// is not asked any more.
class ServerSource : public Source {
 public:
  /// Null, with the reason in `defect`, if there can be no such server.
  [[nodiscard]] static std::unique_ptr<ServerSource> open(cache::RemoteOptions options, std::string& defect);

  [[nodiscard]] const std::string& name() const override { return options_.address.name(); }
  [[nodiscard]] PlaceKind kind() const override { return PlaceKind::server; }
  [[nodiscard]] std::vector<cache::Key> keys(std::string& defect) override;
  [[nodiscard]] Found find(const cache::Key& key) override;
  [[nodiscard]] Databases databases() override { return {}; }

  /// `keys` are in order, each once.
  void ask_for(std::vector<cache::Key> keys) { known_ = std::move(keys); }
  /// The number of entries that it has listed, once keys() was called. Empty if it lists nothing.
  [[nodiscard]] const std::optional<std::size_t>& listed() const { return listed_; }
  /// The reason why it lists nothing; empty if it lists.
  [[nodiscard]] const std::string& unlisted() const { return unlisted_; }
  /// The reason why the server is not asked any more; empty if it is.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] bool writable() const { return !options_.read_only; }
  /// Replaces what the server has under `key`. Returns why that failed; empty if it is done.
  [[nodiscard]] std::string put(const cache::Key& key, const cache::Entry& entry);
  /// Removes what the server has under `key`. Returns why that failed; empty if it is done.
  [[nodiscard]] std::string remove(const cache::Key& key);

 private:
  ServerSource(cache::RemoteOptions options, std::unique_ptr<cache::RemoteServer> server)
      : options_(std::move(options)), server_(std::move(server)) {}

  cache::RemoteOptions options_;
  std::unique_ptr<cache::RemoteServer> server_;
  std::vector<cache::Key> known_;
  std::optional<std::size_t> listed_;
  std::string unlisted_;
  std::string failure_;
};

}  // namespace kerncast::tools
