#include "tools/warm/request_record.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <utility>

#include "kerncast/op_definition.hpp"
#include "tools/io/file.hpp"
#include "tools/io/output.hpp"
#include "tools/model/settings.hpp"

namespace kerncast::tools {
namespace {

RequestRecord parse_record(const std::string& line) {
  const Json json = Json::parse(line);
  RequestRecord record;
  record.op = json.at("op").get<std::string>();
  std::istringstream settings(json.at("set").get<std::string>());
  for (std::string setting; settings >> setting;) {
    record.settings.push_back(setting);
  }
  record.arch = json.at("arch").get<std::string>();
  check_arch(record.arch);
  record.sm_count = json.at("sms").get<int>();
  record.rows = json.at("rows").get<std::int64_t>();
  return record;
}

}  // namespace

std::vector<RequestRecord> read_records(const std::string& path, Console& console) {
  constexpr std::uint64_t limit = 256U << 20U;
  std::istringstream lines(read_file(path, limit));
  std::vector<RequestRecord> records;
  int number = 0;
  int bad = 0;
  int first_bad = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty()) {
      continue;
    }
    try {
      records.push_back(parse_record(line));
    } catch (const std::exception&) {
      first_bad = bad++ == 0 ? number : first_bad;
    }
  }
  if (bad > 0 && records.empty()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} is not a file of KERNCAST_RECORD: none of its lines is a record", path));
  }
  if (bad > 0) {
    console.warning(
        fmt::format("{}: {} of {} lines are no records of kernels and are left out, the first is "
                    "line {}",
                    path, bad, number, first_bad));
  }
  return records;
}

std::string merge_records(const std::vector<std::string>& paths, Console& console) {
  std::map<std::pair<std::string, int>, std::int64_t> rows_of;
  for (const std::string& path : paths) {
    for (const RequestRecord& record : read_records(path, console)) {
      std::string kernel =
          fmt::format(R"({{"op": {}, "set": {}, "arch": {}, "sms": {})", Json(record.op).dump(),
                      Json(fmt::format("{}", fmt::join(record.settings, " "))).dump(),
                      Json(record.arch).dump(), record.sm_count);
      const auto [at, added] =
          rows_of.emplace(std::pair(std::move(kernel), row_bucket(record.rows)), record.rows);
      at->second = std::min(at->second, record.rows);
    }
  }
  std::string text;
  for (const auto& [kernel, rows] : rows_of) {
    text += fmt::format("{}, \"rows\": {}}}\n", kernel.first, rows);
  }
  return text;
}

}  // namespace kerncast::tools
