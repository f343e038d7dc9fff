// Measures `kerncast warm` of DeepSeek-V3 for sm_90a: from an empty cache with one worker and with one for
// each core, then with everything cached, then the size of its pack. Cold runs count by their median. Fails
// if a cold run takes more than 1.3 times the sum of the single compiles divided by the cores, if two workers
// on two cores are not 1.8 times as fast as one, if a run with everything cached takes more than 0.3 s, or if
// the pack has more than 2 MiB.
//   bench_warm [ROUNDS]      (default 3)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/benchmarks/median.hpp"

namespace {

namespace fs = std::filesystem;
using kerncast::bench::median;

struct Run {
  bool good = false;
  double seconds = 0;  ///< of the whole process
  nlohmann::json end;  ///< its last event
};

Run warm(const fs::path& folder, const std::string& cache, const std::string& more) {
  const std::string out = (folder / "events").string();
  setenv("KERNCAST_CACHE_DIR", (folder / cache).c_str(), 1);
  const auto start = std::chrono::steady_clock::now();
  const int code =
      std::system(fmt::format("{} warm --model deepseek-v3 --arch sm_90a --json {} > {} 2> {}.err",
                              KERNCAST_COMMAND, more, out, out)
                      .c_str());
  Run run;
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::ifstream in(out);
  for (std::string line; std::getline(in, line);) {
    run.end = nlohmann::json::parse(line);
  }
  run.good = code == 0 && run.end.value("event", "") == "end";
  return run;
}

bool verdict(const std::string& what, double value, const char* limit, double bound, const char* unit) {
  const bool good = limit == std::string("at most") ? value <= bound : value >= bound;
  fmt::print("{:<64} {:>8.2f} {:<4} {} {:<5} {}\n", what, value, unit, limit, bound, good ? "pass" : "FAIL");
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 3;
  const fs::path folder = fs::temp_directory_path() / "kerncast-bench-warm";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const std::string pack = (folder / "deepseek-v3.pack").string();
  std::vector<double> one;
  std::vector<double> all;
  std::vector<double> compiling;
  bool good = true;
  int kernels = 0;
  for (int round = 0; round < rounds && good; ++round) {
    fs::remove_all(folder / "single");
    fs::remove_all(folder / "cache");
    const Run single = warm(folder, "single", "--jobs 1");
    const Run cold = warm(folder, "cache", fmt::format("--jobs {}", cores));
    good = single.good && cold.good;
    one.push_back(single.seconds);
    all.push_back(cold.seconds);
    compiling.push_back(good ? single.end.at("compile_ms").get<double>() / 1000 : 0);
    kernels = good ? cold.end.at("kernels").get<int>() : 0;
  }
  const Run again = warm(folder, "cache", "");
  const Run packed = warm(folder, "cache", fmt::format("--out {}", pack));
  if (!good || !again.good || !packed.good) {
    fmt::print(stderr, "kerncast warm failed; its messages are in {}\n", (folder / "events.err").string());
    return 1;
  }
  fmt::print("{} kernels; {:.1f} s of single compiles; {:.1f} s with one worker, {:.1f} s with {}\n", kernels,
             median(compiling), median(one), median(all), cores);
  good = verdict("cold, as a multiple of the single compiles divided by the cores",
                 median(all) / (median(compiling) / cores), "at most", 1.3, "");
  if (cores == 2) {
    good = verdict("two workers, as a multiple of the speed of one", median(one) / median(all), "at least",
                   1.8, "") &&
           good;
  }
  good = verdict("again, everything cached", again.seconds, "at most", 0.3, "s") && good;
  good = verdict("pack", static_cast<double>(fs::file_size(pack)) / (1 << 20), "at most", 2, "MiB") && good;
  fs::remove_all(folder);
  return good ? 0 : 1;
}
