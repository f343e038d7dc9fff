// Measures cache hits: a hit from disk against reading the file alone, a hit in a large directory against one
// in a small directory, the check of a signature, and many threads on one key in memory. Fails if a figure
// misses its bound.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "cache/cache.hpp"
#include "cache/posix/file.hpp"
#include "cache/signature/public_key.hpp"
#include "cache/signature/signing_key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "tests/benchmarks/median.hpp"

namespace {

namespace cache = kerncast::cache;
namespace fs = std::filesystem;
using kerncast::bench::median;
using Clock = std::chrono::steady_clock;

constexpr double hit_bound_us = 100;
constexpr double read_ratio_bound = 3;
constexpr double size_ratio_bound = 1.2;
constexpr double signature_bound_us = 200;
// Threads that share no lock and no cache line lose only the time that the scheduler takes.
constexpr double thread_ratio_bound = 0.8;

template <class Work>
double time_us(Work&& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

bool report(const char* what, double value, double bound, bool good) {
  fmt::print("  {:<52} {:8.2f}  bound {:6.2f}  {}\n", what, value, bound, good ? "pass" : "FAIL");
  return good;
}

cache::Entry sample(std::size_t cubin) {
  cache::Entry entry;
  entry.cubin.assign(cubin, 'c');
  entry.ptx.assign(cubin / 3, 'p');
  entry.key_fields = {{"source", std::string(1'000, 's')}, {"header:a.cuh", std::string(9'000, 'h')}};
  return entry;
}

cache::Key key(std::uint64_t i) {
  return {i * 0x9e3779b97f4a7c15ULL, i};
}

/// Writes entries with the paths and permissions that a publish gives them, but without its fsync.
void fill(const cache::Store& store, std::uint64_t count, const cache::Entry& entry) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const fs::path path = store.path_of(key(i));
    fs::create_directories(path.parent_path());
    for (fs::path at = path.parent_path(); at != fs::path(store.root()).parent_path();
         at = at.parent_path()) {
      fs::permissions(at, fs::perms::owner_all);
    }
    std::ofstream(path, std::ios::binary) << cache::serialise(key(i), entry);
    fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  }
}

bool measure_hit(const std::string& folder) {
  cache::Store store(folder, nullptr);
  fill(store, 1, sample(40'000));
  std::vector<double> hits;
  std::vector<double> reads;
  std::size_t bytes = 0;
  for (int i = 0; i < 4001; ++i) {
    hits.push_back(time_us([&] { bytes += store.load(key(0))->cubin.size(); }));
    reads.push_back(time_us([&] { bytes += cache::read_file(store.path_of(key(0)))->size(); }));
  }
  const double hit = median(hits);
  const double read = median(reads);
  fmt::print("entry of {} bytes, medians of {}\n", fs::file_size(store.path_of(key(0))), hits.size());
  fmt::print("  {:<52} {:8.2f}\n", "reading the file alone, us", read);
  const bool fast = report("hit from disk, us", hit, hit_bound_us, hit <= hit_bound_us);
  return report("hit, as a multiple of reading the file alone", hit / read, read_ratio_bound,
                hit / read <= read_ratio_bound) &&
         fast && bytes > 0;
}

/// Measures the check of a signature, which an entry from outside pays once.
bool measure_signature() {
  const std::optional<cache::SigningKey> signing_key = cache::SigningKey::generate();
  cache::Entry entry = sample(40'000);
  if (!signing_key || !signing_key->sign(key(0), entry)) {
    return false;
  }
  const cache::TrustedKeys trusted(cache::format_public_key(signing_key->public_key()), nullptr);
  std::vector<double> times;
  std::size_t refused = 0;
  for (int i = 0; i < 1001; ++i) {
    times.push_back(time_us([&] { refused += trusted.defect_of(key(0), entry).empty() ? 0U : 1U; }));
  }
  return report("check of an entry's signature, us", median(times), signature_bound_us,
                median(times) <= signature_bound_us) &&
         refused == 0;
}

/// Measures the first use of many keys through all layers, which a starting process pays for each kernel.
void measure_first_hits(const std::string& folder) {
  cache::CacheOptions options;
  options.directory = folder;
  std::vector<double> times;
  cache::Cache layered(options, nullptr);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    times.push_back(time_us([&] { static_cast<void>(layered.load(key(i))); }));
  }
  fmt::print("  {:<52} {:8.2f}\n", "first use of a key by a process, all layers, us", median(times));
}

bool measure_size(const std::string& small_folder, const std::string& large_folder) {
  const cache::Entry entry = sample(4'000);
  cache::Store small(small_folder, nullptr);
  cache::Store large(large_folder, nullptr);
  fill(small, 10, entry);
  fill(large, 10'000, entry);
  std::vector<double> in_small;
  std::vector<double> in_large;
  for (std::uint64_t i = 0; i < 10'001; ++i) {
    in_small.push_back(time_us([&] { static_cast<void>(small.load(key(i % 10))); }));
    in_large.push_back(time_us([&] { static_cast<void>(large.load(key(i % 10))); }));
  }
  const double ratio = median(in_large) / median(in_small);
  fmt::print("10 entries {:.2f} us, 10000 entries {:.2f} us\n", median(in_small), median(in_large));
  const bool good = report("a hit among 10000, as a multiple of one among 10", ratio, size_ratio_bound,
                           ratio <= size_ratio_bound);
  measure_first_hits(large_folder);
  return good;
}

double millions_per_second(cache::Cache& hot, unsigned threads) {
  std::atomic<bool> go{false};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> total{0};
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      while (!go) {
        std::this_thread::yield();
      }
      std::uint64_t done = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        for (int k = 0; k < 1000; ++k) {
          done += hot.load(key(0)) ? 1U : 0U;
        }
      }
      total += done;
    });
  }
  const auto start = Clock::now();
  go = true;
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  stop = true;
  for (std::thread& thread : running) {
    thread.join();
  }
  return static_cast<double>(total) / std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

bool measure_threads(const std::string& folder) {
  cache::CacheOptions options;
  options.directory = folder;
  cache::Cache hot(options, nullptr);
  if (!hot.load(key(0))) {
    return false;
  }
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  // The rounds alternate, so that other load on the machine slows both.
  std::vector<double> few_rounds;
  std::vector<double> many_rounds;
  for (int round = 0; round < 9; ++round) {
    few_rounds.push_back(millions_per_second(hot, cores));
    many_rounds.push_back(millions_per_second(hot, 64));
  }
  const double few = median(few_rounds);
  const double many = median(many_rounds);
  fmt::print("one key in memory, medians of {}: {} threads {:.1f}, 64 threads {:.1f} million hits a second\n",
             few_rounds.size(), cores, few, many);
  return report("64 threads, as a multiple of one thread a core", many / few, thread_ratio_bound,
                many / few >= thread_ratio_bound);
}

}  // namespace

int main() {
  const std::string folder = (fs::temp_directory_path() / "kerncast-bench-cache").string();
  fs::remove_all(folder);
  const bool hit = measure_hit(folder + "/one");
  const bool signature = measure_signature();
  const bool size = measure_size(folder + "/small", folder + "/large");
  const bool threads = measure_threads(folder + "/one");
  fs::remove_all(folder);
  return hit && signature && size && threads ? 0 : 1;
}
