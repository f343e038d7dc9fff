#include "tools/verify/source.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

#include "cache/directory/entry_tree.hpp"
#include "cache/directory/index.hpp"
#include "cache/directory/read_only_directory.hpp"
#include "cache/layout.hpp"
#include "cache/pack/pack.hpp"
#include "cache/posix/folder.hpp"
#include "cache/posix/trusted_path.hpp"
#include "cache/remote/remote_store.hpp"
#include "cache/remote/server/remote_listing.hpp"
#include "cache/tuning/tuning_store.hpp"

namespace kerncast::tools {
namespace {

class OwnSource : public Source {
 public:
  OwnSource(cache::Store& store, cache::TuningStore& tuning) : store_(store), tuning_(tuning) {}
  [[nodiscard]] const std::string& name() const override { return store_.root(); }
  [[nodiscard]] PlaceKind kind() const override { return PlaceKind::own_directory; }
  [[nodiscard]] std::vector<cache::Key> keys(std::string& defect) override {
    const cache::Folder root = cache::trusted(cache::Folder::open(store_.root()), store_.trust());
    if (root.failure().error == cache::not_trusted) {
      defect = root.failure().text +
               ", so it is not used; make it yours alone (chmod go-w), or set "
               "KERNCAST_CACHE_DIR";
      return {};
    }
    if (!root.valid()) {
      defect = root.failure().error == ENOENT ? std::string() : root.failure().text;
      return {};
    }
    return cache::keys_in(root.child(cache::layout::entries), defect);
  }
  [[nodiscard]] Found find(const cache::Key& key) override {
    cache::Peeked peeked = store_.peek(key);
    return {peeked.present, std::move(peeked.parsed), {}};
  }
  [[nodiscard]] Databases databases() override {
    const cache::TuningCheck check = tuning_.check();
    Databases state{.tuned = check.records};
    if (!check.defect.empty()) {
      state.defects.push_back(fmt::format("the database of tuned records: {}", check.defect));
    }
    if (!check.copy_defect.empty()) {
      state.defects.push_back(fmt::format("the last good copy of the tuned records: {}", check.copy_defect));
    }
    if (const std::string defect = cache::index_defect(store_); !defect.empty()) {
      state.defects.push_back(fmt::format("the index {} is damaged: {}", cache::layout::index, defect));
    }
    return state;
  }

 private:
  cache::Store& store_;
  cache::TuningStore& tuning_;
};

/// The records of a place that is only read.
Databases read_only_state(const std::vector<cache::TunedRecord>& records, const std::string& defect) {
  Databases state{records.size(), records, {}};
  if (!defect.empty()) {
    state.defects.push_back("tuned records: " + defect);
  }
  return state;
}

class DirectorySource : public Source {
 public:
  DirectorySource(std::string path, cache::Trust trust)
      : path_(std::move(path)), trust_(std::move(trust)), layer_(path_, trust_) {}
  [[nodiscard]] const std::string& name() const override { return path_; }
  [[nodiscard]] PlaceKind kind() const override { return PlaceKind::layer; }
  [[nodiscard]] std::vector<cache::Key> keys(std::string& defect) override {
    const cache::Folder root = cache::Folder::open(path_, trust_);
    if (!root.valid()) {
      defect = root.failure().error == cache::not_trusted ? cache::untrusted_layer(root.failure().text)
                                                          : root.failure().text;
      return {};
    }
    const cache::Folder entries = root.child(cache::layout::entries);
    if (entries.failure().error == ENOENT && !root.kind(cache::layout::tuning) &&
        !root.kind(cache::layout::tuning_copy)) {
      defect = fmt::format("it is no cache directory: it has neither a folder {} nor tuned records",
                           cache::layout::entries);
    }
    return defect.empty() ? cache::keys_in(entries, defect) : std::vector<cache::Key>();
  }
  [[nodiscard]] Found find(const cache::Key& key) override {
    cache::LayerAnswer answer = layer_.load(key);
    const bool present = answer.entry || !answer.defect.empty();
    return {present, {std::move(answer.entry), std::move(answer.defect), false}, {}};
  }
  [[nodiscard]] Databases databases() override {
    std::string defect;
    const std::vector<cache::TunedRecord> records = layer_.tuned(defect);
    return read_only_state(records, defect);
  }

 private:
  std::string path_;
  cache::Trust trust_;
  cache::ReadOnlyDirectory layer_;
};

class PackSource : public Source {
 public:
  PackSource(std::string path, std::unique_ptr<cache::Pack> pack)
      : path_(std::move(path)), pack_(std::move(pack)) {}
  [[nodiscard]] const std::string& name() const override { return path_; }
  [[nodiscard]] PlaceKind kind() const override { return PlaceKind::pack; }
  [[nodiscard]] std::vector<cache::Key> keys(std::string&) override {
    std::vector<cache::Key> keys;
    keys.reserve(pack_->size());
    for (std::size_t i = 0; i < pack_->size(); ++i) {
      keys.push_back(pack_->key(i));
    }
    return keys;
  }
  [[nodiscard]] Found find(const cache::Key& key) override {
    cache::LayerAnswer answer = pack_->find(key);
    const bool present = answer.entry || !answer.defect.empty();
    return {present, {std::move(answer.entry), std::move(answer.defect), false}, {}};
  }
  [[nodiscard]] Databases databases() override {
    std::string defect;
    const std::vector<cache::TunedRecord> records = pack_->tuned(defect);
    return read_only_state(records, defect);
  }

 private:
  std::string path_;
  std::unique_ptr<cache::Pack> pack_;
};

}  // namespace

std::string_view name_of(PlaceKind kind) {
  switch (kind) {
    case PlaceKind::own_directory:
      return "own directory";
    case PlaceKind::layer:
      return "read-only directory";
    case PlaceKind::pack:
      return "pack";
    case PlaceKind::server:
      return "server";
  }
  return "";
}

std::unique_ptr<Source> own_source(cache::Store& store, cache::TuningStore& tuning) {
  return std::make_unique<OwnSource>(store, tuning);
}

std::unique_ptr<Source> file_source(const std::string& path, const cache::Trust& trust, std::string& defect) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    defect = fmt::format("{} cannot be opened: {}", path, std::generic_category().message(errno));
    return nullptr;
  }
  if (S_ISDIR(info.st_mode)) {
    return std::make_unique<DirectorySource>(path, trust);
  }
  std::unique_ptr<cache::Pack> pack = cache::Pack::open(path, trust, defect);
  if (pack == nullptr) {
    defect = fmt::format("{} is not a sound pack: {}", path, defect);
    return nullptr;
  }
  return std::make_unique<PackSource>(path, std::move(pack));
}

std::unique_ptr<ServerSource> ServerSource::open(cache::RemoteOptions options, std::string& defect) {
  std::unique_ptr<cache::RemoteServer> server = cache::remote_server(options, defect);
  if (server == nullptr) {
    defect = fmt::format("the server {} cannot be used: {}", options.address.name(), defect);
    return nullptr;
  }
  return std::unique_ptr<ServerSource>(new ServerSource(std::move(options), std::move(server)));
}

std::vector<cache::Key> ServerSource::keys(std::string& defect) {
  cache::RemoteListing listing = cache::listed_keys(*server_, options_);
  if (listing.state == cache::RemoteState::done) {
    listed_ = listing.keys.size();
  } else {
    unlisted_ = std::move(listing.failure);
  }
  const bool failed = listing.state == cache::RemoteState::failed;
  // A server that does not answer would otherwise look like one that is empty.
  defect = failed || (known_.empty() && !listed_) ? cache::remote_defect(options_) : std::string();
  if (!defect.empty()) {
    defect.insert(0, "it cannot be used: ");
    return {};
  }
  if (failed) {
    defect = fmt::format("it is asked only for keys that are known here: {}", unlisted_);
  }
  std::vector<cache::Key> all;
  std::set_union(listing.keys.begin(), listing.keys.end(), known_.begin(), known_.end(),
                 std::back_inserter(all));
  return all;
}

Found ServerSource::find(const cache::Key& key) {
  if (!failure_.empty()) {
    return {false, {}, failure_};
  }
  const cache::RemoteAnswer answer =
      server_->get(cache::object_name(key), cache::Deadline::after(options_.request_time()));
  switch (answer.state) {
    case cache::RemoteState::absent:
      return {};
    case cache::RemoteState::taken:
    case cache::RemoteState::refused:
    case cache::RemoteState::failed:
      failure_ = answer.failure;
      return {false, {}, failure_};
    case cache::RemoteState::done:
      break;
  }
  return {true, cache::parse(key, answer.bytes), {}};
}

std::string ServerSource::put(const cache::Key& key, const cache::Entry& entry) {
  const cache::RemoteAnswer answer = server_->put(
      cache::object_name(key), cache::serialise(key, entry, cache::without_copy(entry.provenance)),
      cache::Deadline::after(options_.request_time()));
  return answer.state == cache::RemoteState::done ? std::string() : answer.failure;
}

std::string ServerSource::remove(const cache::Key& key) {
  const cache::RemoteAnswer answer =
      server_->remove(cache::object_name(key), cache::Deadline::after(options_.request_time()));
  return answer.state == cache::RemoteState::done ? std::string() : answer.failure;
}

}  // namespace kerncast::tools
