// Packs are written, read in place, imported, and damaged in every way.
#include "cache/pack/pack.hpp"

#include <sys/stat.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <tuple>

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

std::string compressed(const std::string& bytes) {
  std::string frame(ZSTD_compressBound(bytes.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), bytes.data(), bytes.size(), 9));
  return frame;
}

/// A pack of the first format version, which has no shared text and no tuned records. `frame_of` makes the
/// frame of an entry file.
std::string first_version(const std::vector<std::pair<Key, Entry>>& ascending,
                          const std::function<std::string(const std::string&)>& frame_of = compressed) {
  Writer head;
  head.raw(pack_format::magic);
  head.integer(first_pack_version);
  std::string frames;
  Writer table;
  for (const auto& [one, kept] : ascending) {
    const std::string bytes = serialise(one, kept);
    const std::string frame = frame_of(bytes);
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

/// An entry file of this many zeros compresses to almost nothing.
Entry swelling(std::size_t bytes) {
  Entry out = sample_entry();
  out.ptx.assign(bytes, '\0');
  return out;
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

TEST_CASE_METHOD(Fixture,
                 "a small pack that unpacks to more than the budget is refused before anything is written") {
  constexpr std::size_t mebibyte = std::size_t{1} << 20;
  Store big(folder.path() + "/big", nullptr);
  for (std::uint64_t i = 0; i < 4; ++i) {
    REQUIRE(big.publish(sample_key(i), swelling(mebibyte)));
  }
  write(packed(big));
  REQUIRE(fs::file_size(path) < mebibyte / 16);
  const std::string root = folder.path() + "/target";
  const auto import_into = [&](const Budget& budget, ImportMode mode) {
    Store target(root, nullptr, Trust::mine, budget);
    TuningStore records(root, nullptr);
    return import_pack(path, target, records, mode);
  };
  const auto mode = GENERATE(ImportMode::write, ImportMode::dry_run);
  ImportResult result = import_into({4 * mebibyte, 0}, mode);
  CHECK(result.defect.empty());
  CHECK_THAT(result.refusal, Catch::Contains("in 4 entries") &&
                                 Catch::Contains("KERNCAST_CACHE_MAX_BYTES=4194304") &&
                                 Catch::Contains("set a larger budget"));
  CHECK(result.published == 0);
  CHECK(result.entries.empty());  // Its table is enough to refuse it, so nothing was unpacked.
  CHECK(!import_into({0, 3}, mode).refusal.empty());
  CHECK(!fs::exists(root));
  result = import_into({5 * mebibyte, 4}, mode);
  CHECK(result.refusal.empty());
  CHECK(result.published == 4);
  CHECK(fs::exists(root) == (mode == ImportMode::write));
}

TEST_CASE_METHOD(Fixture, "an import makes room for itself, and not of what is in the pack or in use") {
  Store target(folder.path() + "/target", nullptr, Trust::mine, Budget{0, entries + 2});
  REQUIRE(target.publish(sample_key(0), entry(0)));
  for (std::uint64_t i = 0; i < entries + 1; ++i) {
    REQUIRE(target.publish(sample_key(100 + i), sample_entry()));
  }
  const auto hour = std::chrono::hours(1);
  fs::last_write_time(target.path_of(sample_key(0)), fs::file_time_type::clock::now() - 2 * hour);
  ImportResult result = import_pack(path, target, tuning, ImportMode::dry_run);
  CHECK(result.published == entries - 1);
  CHECK(result.already == 1);
  CHECK(target.statistics().entries == entries + 2);
  result = import_pack(path, target, tuning);
  CHECK(result.published == entries - 1);
  CHECK(result.already == 1);
  CHECK(target.statistics().entries <= entries + 2);
  for (std::uint64_t i = 0; i < entries; ++i) {
    CHECK(target.load(sample_key(i)) == entry(i));
  }
}

TEST_CASE_METHOD(Fixture, "a pack is refused if what running processes use leaves too little room") {
  const std::string root = folder.path() + "/target";
  CacheOptions options;
  options.directory = root;
  Cache user(options, nullptr);
  for (std::uint64_t i = 0; i < 3; ++i) {
    REQUIRE(user.publish(sample_key(100 + i), sample_entry()));
  }
  Store target(root, nullptr, Trust::mine, Budget{0, entries + 2});
  const ImportResult result = import_pack(path, target, tuning);
  CHECK_THAT(result.refusal, Catch::Contains("running processes use"));
  CHECK(target.statistics().entries == 3);
  CHECK(std::all_of(result.entries.begin(), result.entries.end(),
                    [](const ImportedEntry& one) { return one.fate == ImportFate::refused; }));
}

TEST_CASE_METHOD(Fixture, "a dry run says what an import would do, and writes nothing") {
  const std::string root = folder.path() + "/target";
  Store target(root, nullptr, Trust::mine, Budget{});
  REQUIRE(target.publish(sample_key(0), entry(0)));
  REQUIRE(target.publish(sample_key(1), entry(1)));
  fs::resize_file(target.path_of(sample_key(1)), 10);
  TuningStore records(root, nullptr);
  TunedRecord future = sample_record(3);
  future.recorded_us = std::int64_t{1} << 60;
  std::string bytes;
  static_cast<void>(export_pack(store, all, [&](std::string_view more) { bytes += more; },
                                {sample_record(1), sample_record(2), future}));
  write(bytes);
  REQUIRE(records.record({sample_record(2), sample_record(3)}).written == 2);
  const auto state = [&] {
    std::vector<std::tuple<std::string, std::uintmax_t, fs::file_time_type>> files;
    for (const fs::directory_entry& file : fs::recursive_directory_iterator(root)) {
      files.emplace_back(file.path(), file.is_regular_file() ? file.file_size() : 0, file.last_write_time());
    }
    std::sort(files.begin(), files.end());
    return files;
  };
  const auto before = state();
  const ImportResult told = import_pack(path, target, records, ImportMode::dry_run);
  CHECK(state() == before);
  std::map<Key, ImportFate> fates;
  for (const ImportedEntry& one : told.entries) {
    fates[one.key] = one.fate;
    CHECK(one.op.starts_with("op."));
    CHECK(one.bytes > 200);
  }
  CHECK(fates.size() == entries);
  CHECK(fates[sample_key(0)] == ImportFate::present);
  CHECK(fates[sample_key(1)] == ImportFate::replaced);
  CHECK(fates[sample_key(2)] == ImportFate::imported);
  const ImportResult done = import_pack(path, target, records);
  for (const ImportResult* result : {&told, &done}) {
    CHECK(result->published == entries - 1);
    CHECK(result->already == 1);
    CHECK(result->replaced == 1);
    CHECK(result->tuned.written == 1);
    CHECK(result->tuned.kept == 2);
  }
}

TEST_CASE_METHOD(Fixture, "an entry that unpacks to more or less than the table promises is damage") {
  const std::vector<std::pair<Key, Entry>> one{{sample_key(0), swelling(100'000)}};
  const auto unknown_size = [](const std::string& bytes) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    std::string frame(ZSTD_compressBound(bytes.size()), '\0');
    frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), bytes.data(), bytes.size()));
    ZSTD_freeCCtx(context);
    return frame;
  };
  const std::function<std::string(const std::string&)> frames[] = {
      [](const std::string& bytes) { return compressed(bytes + '\0'); },
      [](const std::string& bytes) { return compressed(bytes.substr(1)); },
      [](const std::string& bytes) { return compressed(bytes) + compressed("more"); },
      [&](const std::string& bytes) { return unknown_size(bytes); },
  };
  write(first_version(one));
  REQUIRE(verify_pack(path).defect.empty());
  for (const auto& frame : frames) {
    write(first_version(one, frame));
    CHECK_THAT(verify_pack(path).defect, Catch::Contains("not compressed data"));
    const LayerAnswer answer = open_read_only_layer(path, Trust::mine)->load(sample_key(0));
    CHECK(!answer.entry);
    CHECK_THAT(answer.defect, Catch::Contains("not compressed data"));
  }
  // No memory is set aside for a frame that is far larger than its content.
  write(first_version(
      one, [](const std::string& bytes) { return compressed(bytes) + std::string(300'000, 'x'); }));
  CHECK_THAT(verify_pack(path).defect, Catch::Contains("malformed table"));
}

TEST_CASE_METHOD(Fixture, "the size of a sparse file sets no memory aside") {
  Writer head;
  head.raw(pack_format::magic);
  head.integer(first_pack_version);
  write(head.bytes());
  const std::uint64_t count = pack_format::max_entries + 1;
  const std::uint64_t footer_at = pack_format::head_bytes + count * pack_format::item_bytes;
  fs::resize_file(path, footer_at);
  Writer footer;
  for (const std::uint64_t value :
       {std::uint64_t{pack_format::head_bytes}, count, std::uint64_t{0}, std::uint64_t{0}}) {
    footer.integer(value);
  }
  std::ofstream(path, std::ios::binary | std::ios::app) << footer.bytes();
  CHECK_THAT(verify_pack(path).defect, Catch::Contains("more than"));
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
  CHECK_THAT(verify_pack(path).defect, Catch::Contains("pack version 5, this build reads 1 to 4"));
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
  const std::uint32_t version = GENERATE(2U, 3U, 4U);
  std::vector<TunedRecord> records{version >= 3 ? signed_record(1) : sample_record(1), sample_record(2)};
  if (version == 4) {
    records.push_back(detailed_record(3));
  }
  const auto packed_with = [&](const Store& from, const std::vector<TunedRecord>& tuned) {
    std::string out;
    static_cast<void>(export_pack(from, all, [&](std::string_view bytes) { out += bytes; }, tuned));
    return out;
  };
  const std::string with = packed_with(store, records);
  CHECK(with == packed_with(store, records));
  CHECK(with != good);
  // Builds that know neither signatures nor details read every pack without any.
  CHECK(with[8] == static_cast<char>(version));
  REQUIRE(served(with) == entries);
  const PackCheck check = verify_pack(path);
  CHECK(check.defect.empty());
  CHECK(check.entries == entries);
  CHECK(check.tuned == records.size());
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
  CHECK(verify_pack(path).tuned == records.size());
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

TEST_CASE_METHOD(Fixture, "an import stops where it is told to, and keeps what it has published") {
  Store into(folder.path() + "/into", nullptr);
  ImportDemand demand;
  std::uint64_t asked = 0;
  // It is asked before each entry when it verifies, once after that, and before each when it publishes.
  demand.stopped = [&] { return ++asked > entries + 1 + 2; };
  const ImportResult stopped = import_pack(path, into, tuning, ImportMode::write, demand);
  CHECK(stopped.stopped);
  CHECK(stopped.published == 2);
  CHECK(into.statistics().entries == 2);
  const ImportResult again = import_pack(path, into, tuning);
  CHECK(!again.stopped);
  CHECK(again.already == 2);
  CHECK(again.published == entries - 2);
}
