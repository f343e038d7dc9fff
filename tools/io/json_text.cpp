#include "tools/io/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "kerncast/error.hpp"

namespace kerncast::tools {
namespace {

// Far deeper than any config. The limit matters since printing a value recurses once for each level.
constexpr int max_depth = 64;

/// The position of the byte at `offset`, such as "line 3, column 7".
std::string position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t start = before.rfind('\n');
  const std::size_t column = before.size() - (start == std::string_view::npos ? 0 : start + 1);
  return fmt::format("line {}, column {}", line, std::max<std::size_t>(column, 1));
}

/// The message of nlohmann's exception without its prefix and position.
std::string reason(const std::string& what) {
  const std::size_t start = what.find("syntax error");
  if (start != std::string::npos) {
    return what.substr(start);
  }
  const std::size_t bracket = what.find("] ");
  return bracket == std::string::npos ? what : what.substr(bracket + 2);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& origin) {
  std::vector<std::set<std::string>> open;
  std::string twice;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    if (depth > max_depth) {
      throw Error(ErrorCode::io_error,
                  fmt::format("{}: its JSON is nested more than {} levels deep", origin, max_depth));
    }
    if (event == nlohmann::json::parse_event_t::object_start) {
      open.emplace_back();
    } else if (event == nlohmann::json::parse_event_t::object_end) {
      open.pop_back();
    } else if (event == nlohmann::json::parse_event_t::key && !open.empty()) {
      const auto& name = value.get_ref<const std::string&>();
      if (!open.back().insert(name).second && twice.empty()) {
        twice = name;
      }
    }
    return true;
  };
  try {
    nlohmann::json result = nlohmann::json::parse(text.begin(), text.end(), watch);
    if (!twice.empty()) {
      throw Error(ErrorCode::io_error, fmt::format("{}: \"{}\" occurs twice in one object", origin, twice));
    }
    return result;
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(ErrorCode::io_error, fmt::format("{}: malformed JSON at {}: {}", origin,
                                                 position(text, error.byte), reason(error.what())));
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCode::io_error, fmt::format("{}: malformed JSON: {}", origin, reason(error.what())));
  }
}

}  // namespace kerncast::tools
