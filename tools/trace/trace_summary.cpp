#include "tools/trace/trace_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <sstream>
#include <tuple>

#include "kerncast/error.hpp"
#include "tools/io/output.hpp"

namespace kerncast::tools {
namespace {

class Summariser {
 public:
  /// Throws if `line` is no event.
  void add(const Json& line) {
    if (line.at("ph") == "M") {
      return;
    }
    const Json& arguments = line.at("args");
    const std::string category = line.at("cat").get<std::string>();
    const double duration_us = line.value("dur", 0.0);
    TracedKernel& kernel = kernel_of(line.at("name").get<std::string>(), arguments);
    if (category == "launch") {
      ++kernel.launches;
      kernel.launch_us += duration_us;
      kernel.streams.insert(arguments.at("stream").get<std::string>());
      kernel.rows.insert(arguments.at("rows").get<std::int64_t>());
    } else if (category == "compile") {
      ++(arguments.contains("error") ? kernel.failed_compiles : kernel.compiles);
      kernel.compile_ms += duration_us / 1000;
    } else if (category == "load") {
      ++kernel.loads;
      kernel.load_us += duration_us;
    } else if (category == "miss") {
      ++kernel.misses;
    } else if (category == "replaced") {
      ++kernel.replaced;
    }
    const double begin = line.at("ts").get<double>();
    first_us_ = std::min(first_us_, begin);
    last_us_ = std::max(last_us_, begin + duration_us);
    ++events_;
  }

  [[nodiscard]] TraceSummary finish() const {
    TraceSummary summary;
    summary.events = events_;
    summary.seconds = events_ == 0 ? 0 : (last_us_ - first_us_) / 1e6;
    summary.kernels.reserve(kernels_.size());
    for (const auto& [identity, kernel] : kernels_) {
      summary.kernels.push_back(kernel);
    }
    std::stable_sort(summary.kernels.begin(), summary.kernels.end(),
                     [](const TracedKernel& a, const TracedKernel& b) {
                       return std::tuple(a.compile_ms, a.launches) > std::tuple(b.compile_ms, b.launches);
                     });
    return summary;
  }

 private:
  TracedKernel& kernel_of(const std::string& op, const Json& arguments) {
    const auto spec = arguments.at("spec").get<std::string>();
    const auto arch = arguments.at("arch").get<std::string>();
    TracedKernel& kernel = kernels_[std::tuple(op, spec, arch)];
    kernel.op = op;
    kernel.spec = spec;
    kernel.arch = arch;
    return kernel;
  }

  std::map<std::tuple<std::string, std::string, std::string>, TracedKernel> kernels_;
  double first_us_ = std::numeric_limits<double>::max();
  double last_us_ = 0;
  std::size_t events_ = 0;
};

/// `line` without the comma that separates it from the next.
std::string without_comma(std::string line) {
  if (line.ends_with(',')) {
    line.pop_back();
  }
  return line;
}

}  // namespace

TraceSummary summarise_trace(const std::string& text, const std::string& path) {
  Summariser summariser;
  std::size_t bad = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line == "[" || line == "]") {
      continue;
    }
    try {
      summariser.add(Json::parse(without_comma(line)));
    } catch (const Json::exception&) {
      ++bad;
    }
  }
  TraceSummary summary = summariser.finish();
  summary.bad_lines = bad;
  if (summary.events == 0) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} is not a file of KERNCAST_TRACE: it has no event of a kernel", path));
  }
  return summary;
}

}  // namespace kerncast::tools
