// Warming DeepSeek-V3 for sm_90a from nothing, with one worker and with one for each core, then again with
// everything cached, and its pack. Fails where it takes more than 1.3 times the sum of its single compiles
// over the cores, where a second run takes 0.3 s or more, or where the pack is 2 MiB or more.
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

namespace {

namespace fs = std::filesystem;

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

bool verdict(const std::string& what, double value, double bound, const char* unit) {
  const bool good = value <= bound;
  fmt::print("{:<64} {:>8.2f} {:<4} at most {:<5} {}\n", what, value, unit, bound, good ? "pass" : "FAIL");
  return good;
}

}  // namespace

int main() {
  const fs::path folder = fs::temp_directory_path() / "kerncast-bench-warm";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const Run single = warm(folder, "single", "--jobs 1");
  const Run cold = warm(folder, "cache", fmt::format("--jobs {}", cores));
  const std::string pack = (folder / "deepseek-v3.pack").string();
  const Run again = warm(folder, "cache", "");
  const Run packed = warm(folder, "cache", fmt::format("--out {}", pack));
  if (!single.good || !cold.good || !again.good || !packed.good) {
    fmt::print(stderr, "kerncast warm failed; its messages are in {}\n", (folder / "events.err").string());
    return 1;
  }
  const double ideal = single.end.at("compile_ms").get<double>() / 1000 / cores;
  fmt::print(
      "{} kernels; {:.1f} s of single compiles; {:.1f} s with one worker, {:.1f} s with {} ({:.2f} times as "
      "fast)\n",
      cold.end.at("kernels").get<int>(), ideal * cores, single.seconds, cold.seconds, cores,
      single.seconds / cold.seconds);
  bool good = verdict("cold, in the sum of single compiles over the cores", cold.seconds / ideal, 1.3, "");
  good = verdict("again, everything cached", again.seconds, 0.3, "s") && good;
  good = verdict("pack", static_cast<double>(fs::file_size(pack)) / (1 << 20), 2, "MiB") && good;
  fs::remove_all(folder);
  return good ? 0 : 1;
}
