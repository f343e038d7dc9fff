#include "runtime/dispatch/observe/request_record.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "cache/posix/file.hpp"
#include "kerncast/error.hpp"
#include "runtime/util/json_string.hpp"
#include "runtime/util/split.hpp"

namespace kerncast {
namespace {

using Json = nlohmann::json;

/// True for texts such as "sm_90a".
bool looks_like_arch(std::string_view arch) {
  constexpr std::string_view prefix = "sm_";
  return arch.starts_with(prefix) && arch.size() > prefix.size() &&
         arch.find_first_not_of("0123456789af", prefix.size()) == std::string_view::npos;
}

/// Throws if `line` is no request.
KernelRequest parse_request(std::string_view line) {
  const Json json = Json::parse(line);
  KernelRequest request;
  request.op = json.at("op").get<std::string>();
  std::istringstream settings(json.at("set").get<std::string>());
  for (std::string setting; settings >> setting;) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorCode::io_error, "a setting has no value");
    }
    request.settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  request.arch = json.at("arch").get<std::string>();
  if (!looks_like_arch(request.arch)) {
    throw Error(ErrorCode::io_error, "not an architecture");
  }
  request.sm_count = json.at("sms").get<int>();
  request.rows = json.at("rows").get<std::int64_t>();
  return request;
}

}  // namespace

std::string request_line(std::string_view op, std::string_view settings, std::string_view arch, int sm_count,
                         std::int64_t rows) {
  return fmt::format(R"({{"op": {}, "set": {}, "arch": {}, "sms": {}, "rows": {}}})", json_string(op),
                     json_string(settings), json_string(arch), sm_count, rows);
}

RequestRecord parse_request_record(std::string_view text, const std::string& path) {
  RequestRecord record;
  std::size_t number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (line.empty()) {
      continue;
    }
    ++record.lines;
    try {
      record.kernels.push_back(parse_request(line));
    } catch (const std::exception&) {
      record.first_bad_line = record.bad_lines++ == 0 ? number : record.first_bad_line;
    }
  }
  if (record.bad_lines > 0 && record.kernels.empty()) {
    throw Error(ErrorCode::io_error,
                fmt::format("{} is not a file of KERNCAST_RECORD: none of its lines is a record", path));
  }
  return record;
}

RequestRecord read_request_record(const std::string& path) {
  const std::optional<std::string> text = cache::read_file(path);
  if (!text) {
    throw Error(ErrorCode::io_error,
                fmt::format("the record {} cannot be read: it must be a regular file of at most {} MiB", path,
                            cache::default_file_limit >> 20U));
  }
  return parse_request_record(*text, path);
}

}  // namespace kerncast
