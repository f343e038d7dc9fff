// A hit from disk to verified bytes, against its bound and against reading the same file alone. Fails where
// it misses the bound.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <vector>

#include "cache/file.hpp"
#include "cache/store.hpp"

namespace {

constexpr double bound_us = 100;

template <class Work>
double median_us(Work&& work) {
  std::vector<double> times;
  for (int i = 0; i < 2001; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    times.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + 1000, times.end());
  return times[1000];
}

}  // namespace

int main() {
  namespace cache = kerncast::cache;
  const std::string folder = (std::filesystem::temp_directory_path() / "kerncast-bench-cache").string();
  cache::Store store(folder, nullptr);
  cache::Entry entry;
  entry.cubin.assign(40'000, 'c');
  entry.ptx.assign(15'000, 'p');
  entry.key_fields = {{"source", std::string(1'000, 's')}, {"header:a.cuh", std::string(9'000, 'h')}};
  const cache::Key key{1, 2};
  if (!store.publish(key, entry)) {
    fmt::print(stderr, "cannot write to {}\n", folder);
    return 1;
  }
  std::size_t bytes = 0;
  const double hit = median_us([&] { bytes += store.load(key)->cubin.size(); });
  const double read = median_us([&] { bytes += cache::read_file(store.path_of(key))->size(); });
  const bool good = hit <= bound_us;
  fmt::print("entry of {} bytes, medians of 2001: hit {:.1f} us  bound {:.0f} us  {}\n",
             cache::read_file(store.path_of(key))->size(), hit, bound_us, good ? "pass" : "FAIL");
  fmt::print("reading the file alone {:.1f} us, ratio {:.2f}\n", read, hit / read);
  std::filesystem::remove_all(folder);
  return good && bytes > 0 ? 0 : 1;
}
