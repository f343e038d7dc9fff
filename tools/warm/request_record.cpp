#include "tools/warm/request_record.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "kerncast/op_definition.hpp"
#include "tools/io/file.hpp"

namespace kerncast::tools {

std::vector<std::string> setting_texts(const KernelRequest& request) {
  std::vector<std::string> settings;
  settings.reserve(request.settings.size());
  for (const auto& [name, value] : request.settings) {
    settings.push_back(fmt::format("{}={}", name, value));
  }
  return settings;
}

std::vector<KernelRequest> read_records(const std::string& path, Console& console) {
  constexpr std::uint64_t limit = 256U << 20U;
  RequestRecord record = parse_request_record(read_file(path, limit), path);
  if (record.bad_lines > 0) {
    console.warning(
        fmt::format("{}: {} of {} lines are no records of kernels and are left out, the first is line {}",
                    path, record.bad_lines, record.lines, record.first_bad_line));
  }
  return std::move(record.kernels);
}

std::string merge_records(const std::vector<std::string>& paths, Console& console) {
  // By everything but the row count: the least row count of the bucket.
  std::map<std::tuple<std::string, std::string, std::string, int, int>, std::int64_t> rows_of;
  for (const std::string& path : paths) {
    for (const KernelRequest& request : read_records(path, console)) {
      const auto [at, added] =
          rows_of.emplace(std::tuple(request.op, fmt::format("{}", fmt::join(setting_texts(request), " ")),
                                     request.arch, request.sm_count, row_bucket(request.rows)),
                          request.rows);
      at->second = std::min(at->second, request.rows);
    }
  }
  std::string text;
  for (const auto& [kernel, rows] : rows_of) {
    const auto& [op, settings, arch, sm_count, bucket] = kernel;
    text += request_line(op, settings, arch, sm_count, rows) + "\n";
  }
  return text;
}

}  // namespace kerncast::tools
