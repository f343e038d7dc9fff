// Signatures of entries, and the entries that are used if signatures are demanded.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/posix/file.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature/signing_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;

namespace {

const Key key{0x0123456789abcdef, 42};

SigningKey new_key() {
  return SigningKey::generate().value();
}

std::string text_of(const SigningKey& signing_key) {
  return format_public_key(signing_key.public_key());
}

Entry signed_by(const SigningKey& signing_key) {
  Entry entry = sample_entry();
  REQUIRE(signing_key.sign(key, entry));
  return entry;
}

struct Fixture {
  [[nodiscard]] WarningSink sink() {
    return [this](std::string_view text) { warnings.emplace_back(text); };
  }
  [[nodiscard]] TrustedKeys trusted(const std::string& list) { return {list, sink()}; }
  /// Writes the file of `signing_key` as `kerncast key generate` does.
  [[nodiscard]] std::string written(const SigningKey& signing_key) const {
    std::string path = folder.write("key", signing_key.file_text());
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
    return path;
  }

  TemporaryDirectory folder;
  std::vector<std::string> warnings;
};

}  // namespace

TEST_CASE("signed entries are read as they were written, and older builds leave them alone") {
  Entry entry = signed_by(new_key());
  CHECK(new_key().sign(key, entry));
  REQUIRE(entry.signatures.size() == 2);
  const std::string bytes = serialise(key, entry);
  const ParsedEntry parsed = parse(key, bytes);
  REQUIRE(parsed.entry);
  CHECK(*parsed.entry == entry);
  CHECK(bytes[8] == static_cast<char>(signed_entry_version));
  CHECK(serialise(key, sample_entry())[8] == static_cast<char>(entry_version));
}

TEST_CASE("an entry has at most max_signatures, one for each key") {
  const SigningKey mine = new_key();
  Entry entry = signed_by(mine);
  CHECK(mine.sign(key, entry));
  CHECK(entry.signatures.size() == 1);
  while (entry.signatures.size() < max_signatures) {
    REQUIRE(new_key().sign(key, entry));
  }
  CHECK(!new_key().sign(key, entry));
  CHECK(mine.sign(key, entry));
  CHECK(entry.signatures.size() == max_signatures);
  entry.signatures.emplace_back();
  CHECK(parse(key, serialise(key, entry)).defect == "malformed signatures");
}

TEST_CASE_METHOD(Fixture, "a signature holds for its key, its content and its signer alone") {
  const SigningKey mine = new_key();
  const TrustedKeys keys = trusted(text_of(mine));
  const Entry right = signed_by(mine);
  CHECK(keys.demanded());
  CHECK(keys.defect_of(key, right).empty());
  CHECK_THAT(keys.defect_of(key, sample_entry()), Catch::Contains("not signed"));
  CHECK_THAT(keys.defect_of(key, signed_by(new_key())), Catch::Contains("no key of KERNCAST_TRUSTED_KEYS"));
  CHECK_THAT(keys.defect_of({key.high, key.low + 1}, right), Catch::Contains("not of this content"));
  std::size_t changed = 0;
  for (std::string Entry::* text :
       {&Entry::op, &Entry::spec, &Entry::arch, &Entry::lowered_name, &Entry::cubin, &Entry::ptx}) {
    Entry entry = right;
    (entry.*text)[0] ^= 1;
    changed += keys.defect_of(key, entry) == "its signature is not of this content" ? 1 : 0;
  }
  CHECK(changed == 6);
  Entry entry = right;
  entry.resources[0].second += 1;
  CHECK(!keys.defect_of(key, entry).empty());
  entry = right;
  entry.key_fields[0].second += ' ';
  CHECK(!keys.defect_of(key, entry).empty());
  for (std::size_t i = 0; i < right.signatures[0].bytes.size(); ++i) {
    entry = right;
    entry.signatures[0].bytes[i] ^= 1;
    CHECK(!keys.defect_of(key, entry).empty());
  }
}

TEST_CASE_METHOD(Fixture, "keys are rotated: any one of several suffices, named as text or in a file") {
  const SigningKey old_key = new_key();
  const SigningKey young_key = new_key();
  const std::string file = folder.write("keys", "# of the build farm\n" + text_of(old_key) + "\n\n");
  const TrustedKeys keys = trusted(text_of(young_key) + ",," + file);
  CHECK(keys.keys().size() == 2);
  CHECK(keys.defect_of(key, signed_by(old_key)).empty());
  CHECK(keys.defect_of(key, signed_by(young_key)).empty());
  Entry both = signed_by(new_key());
  REQUIRE(old_key.sign(key, both));
  CHECK(keys.defect_of(key, both).empty());
  CHECK(warnings.empty());

  // A list that gives no key is no permission.
  const TrustedKeys none = trusted("ed25519:AAAA,/nonexistent/keys");
  CHECK(warnings.size() == 2);
  CHECK(none.demanded());
  CHECK(!none.defect_of(key, both).empty());
  CHECK(!trusted("").demanded());
  CHECK(trusted("").defect_of(key, sample_entry()).empty());

  // Whoever can write the file can add a key.
  REQUIRE(::chmod(file.c_str(), 0666) == 0);
  warnings.clear();
  CHECK(trusted(file).keys().empty());
  CHECK(warnings.size() == 1);
}

TEST_CASE_METHOD(Fixture, "each signature of an entry has a state") {
  const SigningKey mine = new_key();
  Entry entry = signed_by(mine);
  REQUIRE(new_key().sign(key, entry));
  entry.signatures.push_back(entry.signatures[0]);
  entry.signatures[2].bytes[0] ^= 1;
  CHECK(trusted(text_of(mine)).states_of(key, entry) ==
        std::vector{SignatureState::trusted, SignatureState::stranger, SignatureState::wrong});
  CHECK(trusted("").states_of(key, entry)[0] == SignatureState::stranger);
  CHECK(trusted("").states_of(key, sample_entry()).empty());
}

TEST_CASE_METHOD(Fixture, "a signing key is read from a file that nobody else may read, and never shown") {
  const SigningKey mine = new_key();
  const std::string path = written(mine);
  std::string defect;
  const std::optional<SigningKey> read = SigningKey::read(path, defect);
  REQUIRE(read);
  CHECK(text_of(*read) == text_of(mine));
  CHECK(parse_public_key(text_of(mine)) == mine.public_key());
  for (const mode_t mode : {0640U, 0604U, 0620U, 0602U}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(!SigningKey::read(path, defect));
    CHECK(!defect.empty());
  }
  const std::string seed = mine.file_text().substr(mine.file_text().find(' ') + 1, 43);
  for (const std::string& text : {std::string(), std::string("kerncast-signing-key-1 \n"), seed,
                                  "kerncast-signing-key-1 " + seed.substr(1) + "\n",
                                  "kerncast-signing-key-2 " + seed + "\n", std::string(1000, 'x')}) {
    const std::string other = folder.write("other", text);
    REQUIRE(::chmod(other.c_str(), 0600) == 0);
    CHECK(!SigningKey::read(other, defect));
    CHECK(defect == "it holds no signing key");
  }
  CHECK(!SigningKey::read(folder.path(), defect));
  CHECK(!SigningKey::read(folder.file("absent"), defect));
}

TEST_CASE_METHOD(Fixture,
                 "what a cache with a signing key publishes, one that trusts the key takes from outside") {
  const SigningKey mine = new_key();
  CacheOptions publisher;
  publisher.directory = folder.file("layer");
  publisher.signing_key = written(mine);
  REQUIRE(Cache(publisher, sink()).publish(key, sample_entry()));
  const auto taken = [&](const std::string& keys, const std::string& layer) {
    const TemporaryDirectory own;
    CacheOptions options;
    options.directory = own.path();
    options.read_only = {layer};
    options.trusted_keys = keys;
    Cache cache(options, sink());
    const bool hit = static_cast<bool>(cache.load(key));
    CHECK(cache.counters().promoted == (hit ? 1 : 0));
    CHECK(cache.counters().refused == (hit ? 0 : 1));
    if (hit) {
      // An entry of the own directory is not verified again.
      options.trusted_keys = text_of(new_key());
      CHECK(Cache(options, sink()).load(key).layer == Layer::directory);
    }
    return hit;
  };
  CHECK(taken(text_of(mine), publisher.directory));
  CHECK(taken("", publisher.directory));
  CHECK(!taken(text_of(new_key()), publisher.directory));

  // The signature goes along into a pack.
  const std::string pack = folder.file("pack");
  std::string bytes;
  const Store store(publisher.directory, nullptr);
  REQUIRE(export_pack(
              store, [](const Entry&) { return true; }, [&](std::string_view more) { bytes += more; })
              .entries == 1);
  folder.write("pack", bytes);
  CHECK(taken(text_of(mine), pack));
  CHECK(!taken(text_of(new_key()), pack));
  CHECK_THAT(warnings.back(), Catch::Contains("no key of KERNCAST_TRUSTED_KEYS has signed it"));
}

TEST_CASE_METHOD(Fixture, "an unsigned directory becomes a signed pack") {
  const SigningKey mine = new_key();
  Store store(folder.file("unsigned"), nullptr);
  REQUIRE(store.publish(key, sample_entry()));
  std::string bytes;
  const auto everything = [](const Entry&) { return true; };
  const auto write = [&](std::string_view more) { bytes += more; };
  REQUIRE(export_pack(store, everything, write, {}, [&](const Key& of, Entry& entry) {
            mine.sign(of, entry);
          }).entries == 1);
  CacheOptions options;
  options.directory = folder.file("own");
  options.read_only = {folder.write("pack", bytes)};
  options.trusted_keys = text_of(mine);
  CHECK(Cache(options, sink()).load(key).layer == Layer::read_only);
  CHECK(warnings.empty());
  CHECK(store.load(key)->signatures.empty());
}

TEST_CASE_METHOD(Fixture, "a signature of a tuned record covers every field") {
  const SigningKey mine = new_key();
  const TrustedKeys keys = trusted(text_of(mine));
  TunedRecord record = sample_record();
  CHECK_THAT(keys.defect_of(record), Catch::Contains("not signed"));
  REQUIRE(mine.sign(record));
  CHECK(keys.defect_of(record).empty());
  CHECK(trusted("").defect_of(sample_record()).empty());
  const auto changed = [&](auto&& change) {
    TunedRecord other = record;
    change(other);
    return keys.defect_of(other);
  };
  const std::string wrong = "its signature is not of this content";
  CHECK(changed([](TunedRecord& r) { r.op += 'x'; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.spec += 'x'; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.arch += 'x'; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.rows_low += 1; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.rows_high += 1; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.source = TunedSource::estimate; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.device += 'x'; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.tunables[0].second += 1; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.tunables.pop_back(); }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.time_us += 1e-9; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.templates += 'x'; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.recorded_us += 1; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.signatures[0].bytes[0] ^= 1; }) == wrong);
  CHECK_THAT(changed([](TunedRecord& r) { r.signatures[0].signer[0] ^= 1; }),
             Catch::Contains("no key of KERNCAST_TRUSTED_KEYS"));

  // The details that are there are covered too, and details cannot be added to a record that had none.
  CHECK(changed([](TunedRecord& r) {
          const std::vector<Signature> signatures = r.signatures;
          r = detailed_record();
          r.signatures = signatures;
        }) == wrong);
  const TunedRecord plain = std::exchange(record, detailed_record());
  REQUIRE(mine.sign(record));
  CHECK(keys.defect_of(record).empty());
  CHECK(changed([](TunedRecord& r) { r.low_us -= 1e-9; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.high_us += 1e-9; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.default_us += 1e-9; }) == wrong);
  CHECK(changed([](TunedRecord& r) { r.trials += 1; }) == wrong);
  for (std::string TunedRecord::* text : {&TunedRecord::policy, &TunedRecord::data, &TunedRecord::compiler,
                                          &TunedRecord::driver, &TunedRecord::tool}) {
    CHECK(changed([&](TunedRecord& r) { r.*text += 'x'; }) == wrong);
  }
  // A database and a pack of the newest version keep the signatures of earlier ones.
  TuningStore mixed(folder.file("mixed"), nullptr);
  REQUIRE(mixed.record({record}).written == 1);
  TunedRecord other_rows = sample_record(9);
  REQUIRE(mine.sign(other_rows));
  REQUIRE(mixed.record({other_rows}).written == 1);
  for (const TunedRecord& stored : mixed.list()) {
    CHECK(keys.defect_of(stored).empty());
  }
  record = plain;

  // A rotation: the old key's signature suffices as long as the old key is named.
  const SigningKey young = new_key();
  CHECK(trusted(text_of(young) + "," + text_of(mine)).defect_of(record).empty());
  CHECK(!trusted(text_of(young)).defect_of(record).empty());
  REQUIRE(young.sign(record));
  REQUIRE(young.sign(record));
  CHECK(record.signatures.size() == 2);
  CHECK(trusted(text_of(young)).defect_of(record).empty());
}

TEST_CASE_METHOD(Fixture, "a cache with a signing key signs what is recorded") {
  const SigningKey mine = new_key();
  CacheOptions options;
  options.directory = folder.file("own");
  options.signing_key = written(mine);
  REQUIRE(Cache(options, sink()).tuning().record({sample_record()}).written == 1);
  const std::vector<TunedRecord> stored = TuningStore(options.directory, nullptr).list();
  REQUIRE(stored.size() == 1);
  CHECK(trusted(text_of(mine)).defect_of(stored[0]).empty());
}

TEST_CASE_METHOD(Fixture, "of the tuned records of layers, those that a trusted key has signed are used") {
  const SigningKey mine = new_key();
  TunedRecord good = sample_record(1);
  REQUIRE(mine.sign(good));
  TunedRecord altered = sample_record(2);
  REQUIRE(mine.sign(altered));
  altered.tunables[0].second = 64;
  TunedRecord strange = sample_record(3);
  REQUIRE(new_key().sign(strange));
  const std::vector<TunedRecord> all{good, altered, strange, sample_record(4)};
  TuningStore tuning(folder.file("layer"), nullptr);
  REQUIRE(tuning.record(all).written == 4);
  std::string bytes;
  const Store empty(folder.file("empty"), nullptr);
  REQUIRE(export_pack(
              empty, [](const Entry&) { return true; }, [&](std::string_view more) { bytes += more; }, all)
              .entries == 0);
  for (const std::string& layer : {folder.file("layer"), folder.write("pack", bytes)}) {
    CacheOptions options;
    options.directory = folder.file("own");
    options.read_only = {layer};
    const auto used = [&](std::int64_t rows) {
      Cache cache(options, sink());
      const auto found = cache.tuned().find({good.op, good.spec, good.arch, rows, rows, good.device});
      return !found.empty() && found.front().covers;
    };
    for (std::int64_t rows = 1; rows <= 4; ++rows) {
      CHECK(used(rows));
    }
    CHECK(warnings.empty());
    options.trusted_keys = text_of(mine);
    CHECK(used(1));
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Catch::Contains("3 of the 4 tuned records") &&
                                Catch::Contains("its signature is not of this content"));
    for (std::int64_t rows = 2; rows <= 4; ++rows) {
      CHECK(!used(rows));
    }
    options.trusted_keys = text_of(new_key());
    CHECK(!used(1));
    warnings.clear();
  }

  // The records of the own directory are used as they are.
  CacheOptions own;
  own.directory = folder.file("layer");
  own.trusted_keys = text_of(mine);
  Cache cache(own, sink());
  CHECK(cache.tuned().find({good.op, good.spec, good.arch, 4, 4, good.device}).size() == 4);
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Fixture, "a pack is imported if every tuned record in it is signed as demanded") {
  const SigningKey mine = new_key();
  const TrustedKeys keys = trusted(text_of(mine));
  TunedRecord good = sample_record(1);
  REQUIRE(mine.sign(good));
  const auto import = [&](const std::vector<TunedRecord>& records) {
    std::string bytes;
    Store source(folder.file("source"), nullptr);
    REQUIRE(source.publish(key, sample_entry()));
    static_cast<void>(export_pack(
        source, [](const Entry&) { return true; }, [&](std::string_view more) { bytes += more; }, records));
    const TemporaryDirectory target;
    Store store(target.path(), nullptr);
    TuningStore tuning(target.path(), nullptr);
    const ImportDemand demand{nullptr, [&](const TunedRecord& record) { return keys.defect_of(record); }};
    const ImportResult result =
        import_pack(folder.write("pack", bytes), store, tuning, ImportMode::write, demand);
    CHECK(tuning.list() == (result.defect.empty() ? records : std::vector<TunedRecord>()));
    CHECK(result.published == (result.defect.empty() ? 1 : 0));
    return result.defect;
  };
  CHECK(import({good}).empty());
  CHECK(import({}).empty());
  CHECK_THAT(import({good, sample_record(2)}), Catch::Contains("rows 2 to 2: it is not signed"));
  TunedRecord strange = sample_record(2);
  REQUIRE(new_key().sign(strange));
  CHECK_THAT(import({good, strange}), Catch::Contains("no key of KERNCAST_TRUSTED_KEYS"));
}

TEST_CASE_METHOD(Fixture,
                 "a signing key that cannot be read is one warning, and entries are published unsigned") {
  CacheOptions options;
  options.directory = folder.file("own");
  options.signing_key = folder.file("absent");
  Cache cache(options, sink());
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("is not used"));
  REQUIRE(cache.publish(key, sample_entry()));
  CHECK(cache.store().load(key)->signatures.empty());
}
