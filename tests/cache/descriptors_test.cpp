// The cache works in a host that has few file descriptors left, however many entries and ended processes
// there are, and it keeps none.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "cache/cache.hpp"
#include "cache/counters.hpp"
#include "cache/directory/index.hpp"
#include "cache/directory/process_usage.hpp"
#include "cache/pack/transfer.hpp"
#include "tests/cache/child_process.hpp"
#include "tests/cache/sample.hpp"

using namespace kerncast::cache;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t entries = 80;
constexpr std::uint64_t ended = 100;
constexpr rlim_t few = 32;

std::ptrdiff_t open_descriptors() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
}

/// Runs `work` in a child that may open few files. Its result is the number of the line that failed, or 0.
template <class Work>
int with_few_descriptors(Work&& work) {
  return run_child([&] {
    const rlimit limit{few, few};
    const std::ptrdiff_t before = open_descriptors();
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return 255;
    }
    const int failed = work();
    return failed == 0 && open_descriptors() != before ? 254 : failed;
  });
}

/// The files of processes that were killed.
void leave_sessions(const std::string& root) {
  fs::create_directories(root + "/sessions");
  kerncast::CacheCounters one;
  one.directory_hits = 1;
  for (std::uint64_t i = 0; i < ended; ++i) {
    std::ofstream(root + "/sessions/" + std::to_string(i) + ".kcs", std::ios::binary)
        << serialise_counters(one);
  }
}

}  // namespace

TEST_CASE("any number of files needs few descriptors") {
  const TemporaryDirectory folder;
  const std::string root = folder.path() + "/cache";
  const std::string pack = folder.path() + "/kernels.pack";
  Store filled(root, nullptr);
  for (std::uint64_t i = 0; i < entries; ++i) {
    REQUIRE(filled.publish(sample_key(i), sample_entry()));
  }
  leave_sessions(root);
  SECTION("a pack is exported, verified and imported") {
    CHECK(with_few_descriptors([&] {
            Store store(root, nullptr);
            std::ofstream file(pack, std::ios::binary);
            const ExportResult result = export_pack(
                store, [](const Entry&) { return true; }, [&](std::string_view bytes) { file << bytes; });
            file.close();
            if (result.entries != entries || verify_pack(pack).entries != entries) {
              return 1;
            }
            Store target(folder.path() + "/target", nullptr, Trust::mine, Budget{});
            TuningStore tuning(folder.path() + "/target", nullptr);
            return import_pack(pack, target, tuning).published == entries ? 0 : 2;
          }) == 0);
  }
  SECTION("what ended processes left is added up and removed") {
    CHECK(with_few_descriptors([&] {
            const Folder directory = Folder::open(root);
            collect_usage(directory);
            return counters_of(directory).directory_hits == ended && fs::is_empty(root + "/sessions") ? 0 : 1;
          }) == 0);
  }
  SECTION("a directory is listed, trimmed and cleared") {
    CHECK(with_few_descriptors([&] {
            Store store(root, nullptr, Trust::mine, Budget{0, 16});
            if (list_entries(store).size() != entries) {
              return 1;
            }
            if (!store.publish(sample_key(entries), sample_entry()) || store.statistics().entries > 16) {
              return 2;
            }
            return store.clear().entries > 0 && store.statistics().entries == 0 ? 0 : 3;
          }) == 0);
  }
  SECTION("a cache serves every entry") {
    CHECK(with_few_descriptors([&] {
            CacheOptions options;
            options.directory = root;
            Cache cache(options, nullptr);
            for (std::uint64_t i = 0; i < entries; ++i) {
              if (!cache.load(sample_key(i))) {
                return 1;
              }
            }
            return 0;
          }) == 0);
  }
}
