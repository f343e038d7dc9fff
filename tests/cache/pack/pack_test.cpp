// Packs are written, read in place, imported, and damaged in every way.
#include "cache/pack/pack.hpp"

#include <sys/stat.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <random>

#include "cache/cache.hpp"
#include "cache/open_layer.hpp"
#include "cache/pack/pack_format.hpp"
#include "cache/pack/transfer.hpp"
#include "cache/posix/byte_order.hpp"
#include "cache/posix/file.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t entries = 5;

Entry entry(std::uint64_t i) {
  Entry out = sample_entry("op." + std::to_string(i));
  out.cubin.assign(200 + 50 * i, static_cast<char>('a' + i));
  return out;
}

bool all(const Entry&) {
  return true;
}

std::uint64_t number(const std::string& bytes, std::size_t at) {
  return Reader(std::string_view(bytes).substr(at)).integer<std::uint64_t>();
}

std::size_t table_of(const std::string& pack) {
  return static_cast<std::size_t>(number(pack, pack.size() - pack_format::footer_bytes));
}

/// A pack of the first format version, which has no shared text and no tuned records.
std::string first_version(const std::vector<std::pair<Key, Entry>>& ascending) {
  Writer head;
  head.raw(pack_format::magic);
  head.integer(first_pack_version);
  std::string frames;
  Writer table;
  for (const auto& [one, kept] : ascending) {
    const std::string bytes = serialise(one, kept);
    std::string frame(ZSTD_compressBound(bytes.size()), '\0');
    frame.resize(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), 9));
    for (const std::uint64_t value :
         {one.high, one.low, std::uint64_t{pack_format::head_bytes + frames.size()},
          std::uint64_t{frame.size()}, std::uint64_t{bytes.size()},
          XXH3_64bits(frame.data(), frame.size())}) {
      table.integer(value);
    }
    frames += frame;
  }
  Writer footer;
  footer.integer(std::uint64_t{pack_format::head_bytes + frames.size()});
  footer.integer(std::uint64_t{ascending.size()});
  const std::string covered = head.bytes() + table.bytes() + footer.bytes();
  const XXH128_hash_t hash = XXH3_128bits(covered.data(), covered.size());
  footer.integer(hash.high64);
  footer.integer(hash.low64);
  return head.bytes() + frames + table.bytes() + footer.bytes();
}

struct Fixture {
  Fixture() : store(folder.path() + "/store", nullptr) {
    for (std::uint64_t i = 0; i < entries; ++i) {
      REQUIRE(store.publish(sample_key(i), entry(i)));
    }
    good = packed(store);
    write(good);
  }
  [[nodiscard]] static std::string packed(const Store& from) {
    std::string out;
    static_cast<void>(export_pack(from, all, [&](std::string_view bytes) { out += bytes; }));
    return out;
  }
  void write(const std::string& bytes) const {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  /// Number of entries that are served from `bytes`. Fails if one differs from what was packed.
  [[nodiscard]] std::uint64_t served(const std::string& bytes) const {
    write(bytes);
    const auto layer = open_read_only_layer(path, Trust::mine);
    std::uint64_t count = 0;
    for (std::uint64_t i = 0; i < entries; ++i) {
      const LayerAnswer answer = layer->load(sample_key(i));
      if (answer.entry) {
        REQUIRE(*answer.entry == entry(i));
        ++count;
      }
    }
    return count;
  }

  TemporaryDirectory folder;
  std::string path = folder.path() + "/kernels.pack";
  Store store;
  TuningStore tuning{folder.path() + "/store", nullptr};
  std::string good;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a pack serves what was packed, in place") {
  CHECK(served(good) == entries);
  const auto layer = open_read_only_layer(path, Trust::mine);
  const LayerAnswer other = layer->load({1, 1});
  CHECK(!other.entry);
  CHECK(other.defect.empty());
  std::vector<Key> seen;
  layer->for_each([&](const Key& one, const Entry&) { seen.push_back(one); });
  CHECK(seen.size() == entries);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE_METHOD(Fixture, "the same contents are the same bytes, whenever and wherever they were published") {
  Store other(folder.path() + "/other", nullptr);
  for (std::uint64_t i = entries; i-- > 0;) {
    REQUIRE(other.publish(sample_key(i), entry(i)));
  }
  CHECK(packed(other) == good);
  REQUIRE(other.publish({1, 1}, sample_entry()));
  CHECK(packed(other) != good);
}

TEST_CASE_METHOD(Fixture, "what is exported is chosen, and damaged files are left out") {
  std::ofstream(store.path_of(sample_key(2)), std::ios::trunc) << "garbage";
  std::string bytes;
  const ExportResult result = export_pack(
      store, [](const Entry& one) { return one.op != "op.3"; },
      [&](std::string_view more) { bytes += more; });
  CHECK(result.entries == entries - 2);
  CHECK(result.damaged == 1);
  CHECK(served(bytes) == entries - 2);
}

TEST_CASE_METHOD(Fixture, "an empty pack is a pack") {
  const Store empty(folder.path() + "/empty", nullptr);
  const std::string bytes = packed(empty);
  CHECK(served(bytes) == 0);
  const PackCheck check = verify_pack(path);
  CHECK(check.defect.empty());
  CHECK(check.entries == 0);
}

TEST_CASE_METHOD(Fixture, "an import publishes what is lacking") {
  Store target(folder.path() + "/target", nullptr);
  REQUIRE(target.publish(sample_key(0), entry(0)));
  ImportResult result = import_pack(path, target, tuning);
  CHECK(result.defect.empty());
  CHECK(result.published == entries - 1);
  CHECK(result.already == 1);
  for (std::uint64_t i = 0; i < entries; ++i) {
    CHECK(target.load(sample_key(i)) == entry(i));
  }
  result = import_pack(path, target, tuning);
  CHECK(result.published == 0);
  CHECK(result.already == entries);
  CHECK(packed(target) == good);
}

TEST_CASE_METHOD(Fixture, "of a pack with one damaged entry nothing is imported") {
  std::string bytes = good;
  const auto last =
      static_cast<std::size_t>(number(bytes, table_of(bytes) + (entries - 1) * pack_format::item_bytes + 16));
  bytes[last + 4] = static_cast<char>(bytes[last + 4] ^ 1);
  CHECK(served(bytes) == entries - 1);
  CHECK(!verify_pack(path).defect.empty());
  Store target(folder.path() + "/target", nullptr);
  const ImportResult result = import_pack(path, target, tuning);
  CHECK(!result.defect.empty());
  CHECK(result.published == 0);
  CHECK(target.statistics().entries == 0);
}

TEST_CASE_METHOD(Fixture, "every changed byte is found, and no wrong entry is served") {
  for (std::size_t i = 0; i < good.size(); ++i) {
    INFO("byte " << i);
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
    CHECK(served(bytes) < entries);
    CHECK(!verify_pack(path).defect.empty());
  }
}

TEST_CASE_METHOD(Fixture, "every truncation and extension is found") {
  for (std::size_t length = 0; length < good.size(); ++length) {
    INFO("length " << length);
    CHECK(served(good.substr(0, length)) == 0);
    CHECK(!verify_pack(path).defect.empty());
  }
  CHECK(served(good + '\0') == 0);
  CHECK(served(good + good) == 0);
}

TEST_CASE_METHOD(Fixture, "what is no pack is one warning and a miss") {
  CacheOptions options;
  options.directory = folder.path() + "/mine";
  options.read_only = {path};
  std::vector<std::string> warnings;
  write("garbage");
  Cache cache(options, [&](std::string_view text) { warnings.emplace_back(text); });
  CHECK(!cache.load(sample_key(1)));
  CHECK(!cache.load(sample_key(2)));
  CHECK(warnings.size() == 1);
  CHECK_THAT(warnings.at(0), Catch::Contains("not a pack"));
}

TEST_CASE_METHOD(Fixture, "a hit in a pack is promoted; a pack that everybody can write to is not read") {
  CacheOptions options;
  options.directory = folder.path() + "/mine";
  options.read_only = {path};
  {
    Cache cache(options, nullptr);
    CHECK(cache.load(sample_key(1)).layer == Layer::read_only);
    CHECK(cache.load(sample_key(1)).layer == Layer::memory);
  }
  CHECK(Cache(options, nullptr).load(sample_key(1)).layer == Layer::directory);
  REQUIRE(chmod(path.c_str(), 0666) == 0);
  CHECK(!Cache(options, nullptr).load(sample_key(2)));
}

TEST_CASE_METHOD(Fixture, "a pack that shrinks or is overwritten while it is read serves nothing wrong") {
  const auto layer = open_read_only_layer(path, Trust::mine);
  REQUIRE(layer->load(sample_key(0)).entry);
  fs::resize_file(path, 20);
  for (std::uint64_t i = 0; i < entries; ++i) {
    CHECK(!layer->load(sample_key(i)).entry);
  }
  write(std::string(good.size(), 'x'));
  for (std::uint64_t i = 0; i < entries; ++i) {
    CHECK(!layer->load(sample_key(i)).entry);
  }
}

TEST_CASE_METHOD(Fixture, "packs of the first version are read") {
  std::vector<std::pair<Key, Entry>> ascending;
  for (std::uint64_t i = 0; i < entries; ++i) {
    ascending.emplace_back(sample_key(i), entry(i));
  }
  std::sort(ascending.begin(), ascending.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  CHECK(served(first_version(ascending)) == entries);
  const PackCheck check = verify_pack(path);
  CHECK(check.defect.empty());
  CHECK(check.entries == entries);
  CHECK(check.tuned == 0);
  std::string later = good;
  later[8] = static_cast<char>(pack_version + 1);
  CHECK(served(later) == 0);
  CHECK_THAT(verify_pack(path).defect, Catch::Contains("pack version 3, this build reads 1 to 2"));
}

TEST_CASE_METHOD(Fixture, "what entries share is packed once") {
  Store many(folder.path() + "/many", nullptr);
  std::mt19937_64 random(7);
  std::string common(20'000, '\0');
  for (char& c : common) {
    c = static_cast<char>(random());
  }
  for (std::uint64_t i = 0; i < 20; ++i) {
    Entry one = sample_entry("op.same");
    one.key_fields.emplace_back("header:common.cuh", common);
    REQUIRE(many.publish(sample_key(i), one));
  }
  const std::string bytes = packed(many);
  CHECK(bytes.size() < 2 * common.size());
  write(bytes);
  const PackCheck check = verify_pack(path);
  CHECK(check.defect.empty());
  CHECK(check.entries == 20);
}

TEST_CASE_METHOD(Fixture, "a pack carries tuned records") {
  const std::vector<TunedRecord> records{sample_record(1), sample_record(2)};
  const auto packed_with = [&](const Store& from, const std::vector<TunedRecord>& tuned) {
    std::string out;
    static_cast<void>(export_pack(from, all, [&](std::string_view bytes) { out += bytes; }, tuned));
    return out;
  };
  const std::string with = packed_with(store, records);
  CHECK(with == packed_with(store, records));
  CHECK(with != good);
  REQUIRE(served(with) == entries);
  const PackCheck check = verify_pack(path);
  CHECK(check.defect.empty());
  CHECK(check.entries == entries);
  CHECK(check.tuned == 2);
  std::string defect;
  CHECK(open_read_only_layer(path, Trust::mine)->tuned(defect) == records);
  CHECK(defect.empty());

  // No changed byte changes what is served, and every byte is verified.
  for (std::size_t i = 0; i < with.size(); ++i) {
    INFO("byte " << i);
    std::string bytes = with;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
    write(bytes);
    CHECK(!verify_pack(path).defect.empty());
    defect.clear();
    const std::vector<TunedRecord> read = open_read_only_layer(path, Trust::mine)->tuned(defect);
    CHECK((read == records || (read.empty() && !defect.empty())));
  }
  for (std::size_t length = 0; length < with.size(); ++length) {
    write(with.substr(0, length));
    CHECK(!verify_pack(path).defect.empty());
  }
  // A pack may contain records alone.
  const Store empty(folder.path() + "/empty", nullptr);
  write(packed_with(empty, records));
  CHECK(verify_pack(path).tuned == 2);
}

TEST_CASE_METHOD(Fixture, "an import merges tuned records: measured beside estimates, the newer of two") {
  TunedRecord measured = sample_record(1);
  TunedRecord estimate = measured;
  estimate.source = TunedSource::estimate;
  estimate.device = "H100";
  estimate.time_us = 0.001;
  estimate.recorded_us += 1000;
  TunedRecord old = sample_record(2);
  TunedRecord newer = old;
  newer.recorded_us += 5;
  newer.time_us = 99;
  TunedRecord newest = sample_record(3);
  newest.recorded_us += 7;
  std::string bytes;
  static_cast<void>(export_pack(store, all, [&](std::string_view more) { bytes += more; },
                                {estimate, newer, sample_record(3)}));
  write(bytes);
  REQUIRE(tuning.record({measured, old, newest}).written == 3);
  Store target(folder.path() + "/target", nullptr);
  ImportResult result = import_pack(path, target, tuning);
  CHECK(result.published == entries);
  CHECK(result.tuned.written == 2);
  CHECK(result.tuned.kept == 1);
  CHECK(tuning.list() == std::vector<TunedRecord>{measured, estimate, newer, newest});
  TunedTable table;
  table.add("mine", tuning.list());
  CHECK(table.find({measured.op, measured.spec, measured.arch, 1, 1, ""}).front().record->time_us ==
        measured.time_us);
  result = import_pack(path, target, tuning);
  CHECK(result.tuned.written == 0);
  CHECK(result.tuned.kept == 3);

  // Nothing is imported from a pack whose records are damaged.
  const std::size_t in_tuned = table_of(bytes) - 1;
  bytes[in_tuned] = static_cast<char>(bytes[in_tuned] ^ 1);
  write(bytes);
  TuningStore other(folder.path() + "/other", nullptr);
  Store other_target(folder.path() + "/other", nullptr);
  CHECK(!import_pack(path, other_target, other).defect.empty());
  CHECK(other.list().empty());
  CHECK(other_target.statistics().entries == 0);
}

TEST_CASE_METHOD(Fixture, "random damage never serves a wrong entry") {
  std::mt19937_64 random(20240611);
  const char* asked = std::getenv("KERNCAST_FUZZ_ROUNDS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 3000;
  for (int round = 0; round < rounds; ++round) {
    std::string bytes = good;
    for (std::uint64_t edits = 1 + random() % 8; edits > 0; --edits) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.insert(at, random() % 64, static_cast<char>(random()));
          break;
        case 2:
          bytes.erase(at, random() % 64);
          break;
        default:
          bytes.replace(at, std::min<std::size_t>(8, bytes.size() - at), 8, '\xff');
          break;
      }
      if (bytes.empty()) {
        bytes = "x";
      }
    }
    INFO("round " << round);
    CHECK((bytes == good || served(bytes) < entries));
  }
}
