// An entry's file says where the entry came from, and neither key nor content depends on that.
#include "cache/provenance.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/posix/file.hpp"
#include "cache/remote/remote_store.hpp"
#include "tests/cache/damaged_bytes.hpp"
#include "tests/cache/sample.hpp"
#include "tests/temporary_directory.hpp"

using namespace kerncast::cache;

namespace {

const Key key{0x0123456789abcdef, 42};

/// The provenance in the file of `key` in the cache directory `root`.
Provenance stored_in(const std::string& root) {
  const std::optional<Entry> entry = Store(root, nullptr).load(key);
  REQUIRE(entry);
  REQUIRE(entry->provenance);
  return *entry->provenance;
}

/// A server that keeps what it is sent in `files`.
class KeepingServer : public RemoteServer {
 public:
  explicit KeepingServer(std::map<std::string, std::string>& files) : files_(files) {}
  RemoteAnswer get(const std::string& name, const Deadline& /*deadline*/) override {
    const auto found = files_.find(name);
    return found == files_.end() ? RemoteAnswer{RemoteState::absent, {}, {}}
                                 : RemoteAnswer{RemoteState::done, found->second, {}};
  }
  RemoteAnswer put(const std::string& name, std::string_view bytes, const Deadline& /*deadline*/) override {
    files_[name] = bytes;
    return {RemoteState::done, {}, {}};
  }
  RemoteAnswer claim(const LeaseClaim& /*lease*/, const Deadline& /*deadline*/) override {
    return {RemoteState::refused, {}, "no leases"};
  }
  RemoteAnswer release(const std::string& /*name*/, const std::string& /*token*/,
                       const Deadline& /*deadline*/) override {
    return {RemoteState::done, {}, {}};
  }

 private:
  std::map<std::string, std::string>& files_;
};

bool is_now(std::int64_t seconds) {
  const std::int64_t now = std::time(nullptr);
  return seconds > now - 3600 && seconds <= now;
}

struct Fixture {
  [[nodiscard]] CacheOptions options(const std::string& name) const {
    CacheOptions out;
    out.directory = folder.file(name);
    out.build = "1.2.3";
    return out;
  }
  /// Writes a pack of the cache directory `root` and returns its path.
  [[nodiscard]] std::string packed(const std::string& root) const {
    std::string bytes;
    const Store store(root, nullptr);
    REQUIRE(export_pack(
                store, [](const Entry&) { return true; }, [&](std::string_view more) { bytes += more; })
                .entries == 1);
    return folder.write("pack", bytes);
  }

  TemporaryDirectory folder;
};

}  // namespace

TEST_CASE("an entry has the oldest version that can hold it, and a provenance survives the round trip") {
  Entry entry = dated_entry();
  const std::string bytes = serialise(key, entry);
  CHECK(bytes[8] == 3);
  const ParsedEntry parsed = parse(key, bytes);
  REQUIRE(parsed.entry);
  CHECK(*parsed.entry == entry);
  CHECK(parsed.entry->provenance == entry.provenance);
  entry.signatures.clear();
  REQUIRE(parse(key, serialise(key, entry)).entry);
  CHECK(parse(key, serialise(key, entry)).entry->provenance == entry.provenance);
  CHECK(serialise(key, dated_entry(), std::nullopt)[8] == 2);
  CHECK(serialise(key, entry, std::nullopt) == serialise(key, sample_entry()));
}

TEST_CASE("a provenance is no part of the content") {
  CHECK(content_of(dated_entry()) == content_of(sample_entry()));
  Entry entry = dated_entry();
  entry.provenance.reset();
  CHECK(entry == dated_entry());
}

TEST_CASE("every text of a provenance is bounded") {
  for (std::string Provenance::* text : {&Provenance::build, &Provenance::host, &Provenance::from}) {
    Entry entry = dated_entry();
    (*entry.provenance).*text = std::string(max_provenance_text + 1, 'x');
    const ParsedEntry parsed = parse(key, serialise(key, entry));
    REQUIRE(parsed.entry);
    CHECK(((*parsed.entry->provenance).*text).size() == max_provenance_text);
  }
  // Another writer may not cut a text off.
  Writer out;
  out.text(std::string(max_provenance_text + 1, 'x'));
  for (int zeros = 0; zeros < 8 + 8 + 1 + 8 + 8; ++zeros) {
    out.raw(std::string_view("\0", 1));
  }
  Reader in(out.bytes());
  Provenance provenance;
  CHECK(!read_provenance(in, provenance));
  CHECK(in.done());
}

TEST_CASE("a provenance in words") {
  CHECK(origin_text(compiled_now("1", "")) == "compiled here");
  CHECK(origin_text(copied_now(std::nullopt, CopySource::server, "redis://host")) ==
        "the server redis://host");
  CHECK(origin_text(copied_now(std::nullopt, CopySource::layer, "/layer")) == "the layer /layer");
  CHECK(origin_text(copied_now(std::nullopt, CopySource::pack, "/pack")) == "the pack /pack");
  CHECK(origin_text({}) == "not known");
}

TEST_CASE("an upload names neither a path nor a copy, and what a server sends names the server") {
  std::map<std::string, std::string> files;
  WarnOnce warnings(nullptr);
  Counters counters;
  RemoteOptions options;
  options.address = RemoteAddress("http://user:secret@host/cache");
  RemoteStore remote(std::make_unique<KeepingServer>(files), options, warnings, counters);
  WaitBudget budget(std::chrono::minutes(1));
  remote.put(key, dated_entry(), budget);
  REQUIRE(files.size() == 1);
  CHECK(files.begin()->second.find("/a/pack") == std::string::npos);
  const LayerAnswer answer = remote.load(key, budget);
  REQUIRE(answer.entry);
  CHECK(answer.entry->provenance == without_copy(dated_entry().provenance));
  CHECK(remote.name().find("secret") == std::string::npos);

  // An entry of a newer build is a miss, and the server is asked again.
  std::string& bytes = files.begin()->second;
  bytes.resize(bytes.size() - 16);
  bytes[8] = 9;
  bytes += checksum_of(bytes);
  for (int time = 0; time < 2; ++time) {
    const LayerAnswer newer = remote.load(key, budget);
    CHECK(!newer.entry);
    CHECK(newer.defect.empty());
  }
  files.clear();
  remote.put(key, sample_entry(), budget);
  CHECK(remote.load(key, budget).entry);
  const std::optional<Provenance> sent = without_copy(dated_entry().provenance);
  REQUIRE(sent);
  CHECK(sent->build == "0.1.0");
  CHECK(sent->compiled_s == 1'700'000'000);
  CHECK(sent->from.empty());
  CHECK(sent->source == CopySource::unknown);
  CHECK(sent->copied_s == 0);
  CHECK(!without_copy(std::nullopt));
}

TEST_CASE_METHOD(Fixture, "what is compiled names its build and its time, and the machine only if asked") {
  REQUIRE(Cache(options("own"), nullptr).publish(key, sample_entry()));
  Provenance made = stored_in(folder.file("own"));
  CHECK(made.build == "1.2.3");
  CHECK(is_now(made.compiled_s));
  CHECK(made.host.empty());
  CHECK(made.source == CopySource::compiled);
  CHECK(made.copied_s == made.compiled_s);

  CacheOptions asked = options("own");
  asked.hostname = true;
  REQUIRE(Cache(asked, nullptr).publish(key, sample_entry()));
  made = stored_in(folder.file("own"));
  CHECK(made.host == host_name());
  CHECK(!made.host.empty());
}

TEST_CASE_METHOD(Fixture, "a copy names the layer that it came from, and keeps who compiled it") {
  {
    Store layer(folder.file("layer"), nullptr);
    REQUIRE(layer.publish(key, dated_entry()));
  }
  CacheOptions reader = options("own");
  reader.read_only = {folder.file("layer")};
  const Hit hit = Cache(reader, nullptr).load(key);
  REQUIRE(hit.layer == Layer::read_only);
  const Provenance copy = stored_in(reader.directory);
  CHECK(copy == hit.entry->provenance);
  CHECK(copy.build == "0.1.0");
  CHECK(copy.compiled_s == 1'700'000'000);
  CHECK(copy.host == "host");
  CHECK(copy.source == CopySource::layer);
  CHECK(copy.from == folder.file("layer"));
  CHECK(is_now(copy.copied_s));
  // The layer stays as it was.
  CHECK(stored_in(folder.file("layer")) == dated_entry().provenance);
}

TEST_CASE_METHOD(Fixture, "a pack carries no provenance, and an import names its path") {
  REQUIRE(Cache(options("own"), nullptr).publish(key, sample_entry()));
  const std::string pack = packed(folder.file("own"));
  const std::string bytes = *read_file(pack);
  {
    Store plain(folder.file("plain"), nullptr);
    REQUIRE(plain.publish(key, sample_entry()));
  }
  CHECK(*read_file(packed(folder.file("plain"))) == bytes);

  Store target(folder.file("target"), nullptr, Trust::mine, Budget{1 << 20, 0});
  TuningStore tuning(folder.file("target"), nullptr);
  const ImportResult result = import_pack(pack, target, tuning);
  REQUIRE(result.published == 1);
  CHECK(result.entries[0].bytes == read_file(target.path_of(key))->size());
  const Provenance copy = stored_in(folder.file("target"));
  CHECK(copy.build.empty());
  CHECK(copy.source == CopySource::pack);
  CHECK(copy.from == pack);
  CHECK(is_now(copy.copied_s));
}
