#include "cache/tuning/tuned_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace kerncast::cache {
namespace {

using Json = nlohmann::ordered_json;

// Far above the length of any record that defect_of() lets pass and a tuner writes.
constexpr std::size_t most_line_bytes = std::size_t{1} << 20;
constexpr std::int64_t no_end = std::numeric_limits<std::int64_t>::max();

template <std::size_t size>
std::string to_hex(const std::array<char, size>& bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

template <std::size_t size>
bool from_hex(std::string_view text, std::array<char, size>& bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (text.size() != 2 * size || text.find_first_not_of(digits) != std::string_view::npos) {
    return false;
  }
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<char>(16 * digits.find(text[2 * i]) + digits.find(text[2 * i + 1]));
  }
  return true;
}

/// Takes the fields of one line. The first defect is kept; reading goes on with values that mean nothing.
class Fields {
 public:
  explicit Fields(Json json) : json_(std::move(json)) {}

  [[nodiscard]] const std::string& defect() const { return defect_; }

  /// Field `name`, which is then known. Null if the line does not have it.
  const Json* find(const char* name) {
    known_.emplace_back(name);
    const auto at = json_.find(name);
    return at == json_.end() ? nullptr : &*at;
  }
  const Json* need(const char* name) {
    const Json* value = find(name);
    if (value == nullptr) {
      fail(fmt::format("it has no {}", name));
    }
    return value;
  }
  void text(const char* name, const Json* value, std::string& to) {
    if (value != nullptr && !value->is_string()) {
      fail(fmt::format("its {} is not a text", name));
    } else if (value != nullptr) {
      to = value->get<std::string>();
    }
  }
  void time(const char* name, const Json* value, double& to) {
    if (value != nullptr && !value->is_number()) {
      fail(fmt::format("its {} is not a number", name));
    } else if (value != nullptr) {
      to = value->get<double>();
    }
  }
  template <class Integer>
  void integer(const char* name, const Json* value, Integer& to) {
    if (value == nullptr) {
      return;
    }
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<Integer>::max());
    const bool fits = value->is_number_unsigned() ? value->get<std::uint64_t>() <= most
                                                  : std::is_signed_v<Integer> && value->is_number_integer();
    if (fits) {
      to = value->get<Integer>();
    } else {
      fail(fmt::format("its {} is not a whole number in range", name));
    }
  }
  /// Notes a field that none of the calls above asked for.
  void check_all_known() {
    for (const auto& [name, value] : json_.items()) {
      if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
        fail(fmt::format("it has a field '{}', which this build does not know", name));
      }
    }
  }
  void fail(std::string reason) { defect_ = defect_.empty() ? std::move(reason) : defect_; }

 private:
  Json json_;
  std::vector<std::string> known_;
  std::string defect_;
};

void read_signatures(Fields& fields, std::vector<Signature>& to) {
  const Json* list = fields.find("signatures");
  if (list == nullptr) {
    return;
  }
  if (!list->is_array() || list->size() > max_signatures) {
    fields.fail(fmt::format("its signatures are not a list of at most {}", max_signatures));
    return;
  }
  for (const Json& item : *list) {
    const auto part = [&](const char* name) {
      const auto at = item.is_object() ? item.find(name) : item.end();
      return at != item.end() && at->is_string() ? at->template get<std::string>() : std::string();
    };
    Signature& signature = to.emplace_back();
    if (item.size() != 2 || !from_hex(part("signer"), signature.signer) ||
        !from_hex(part("bytes"), signature.bytes)) {
      fields.fail("a signature of it is not a signer of 64 and bytes of 128 hex digits");
    }
  }
}

/// The record on `line`. Its defect is in `defect`, which is empty if it is sound.
TunedRecord parse_line(std::string_view line, std::string& defect) {
  TunedRecord record;
  Json json =
      line.size() > most_line_bytes ? Json(Json::value_t::discarded) : Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    defect = line.size() > most_line_bytes ? fmt::format("it is longer than {} bytes", most_line_bytes)
                                           : std::string("it is not an object of JSON");
    return record;
  }
  Fields fields(std::move(json));
  for (const auto& [name, to] :
       {std::pair("op", &record.op), std::pair("spec", &record.spec), std::pair("arch", &record.arch),
        std::pair("device", &record.device), std::pair("templates", &record.templates)}) {
    fields.text(name, fields.need(name), *to);
  }
  fields.integer("rows_low", fields.need("rows_low"), record.rows_low);
  const Json* const high = fields.need("rows_high");
  record.rows_high = no_end;
  fields.integer("rows_high", high != nullptr && high->is_null() ? nullptr : high, record.rows_high);
  fields.integer("recorded_us", fields.need("recorded_us"), record.recorded_us);
  fields.time("time_us", fields.need("time_us"), record.time_us);
  std::string source;
  fields.text("source", fields.need("source"), source);
  record.source = source == name_of(TunedSource::measured) ? TunedSource::measured : TunedSource::estimate;
  if (source != name_of(record.source)) {
    fields.fail(fmt::format("its source '{}' is neither measured nor estimate", source));
  }
  std::string tunables;
  fields.text("tunables", fields.need("tunables"), tunables);
  if (auto parsed = parse_tunables(tunables)) {
    record.tunables = std::move(*parsed);
  } else {
    fields.fail(fmt::format("its tunables '{}' are not name=value name=value", tunables));
  }
  for (const auto& [name, to] : {std::pair("low_us", &record.low_us), std::pair("high_us", &record.high_us),
                                 std::pair("default_us", &record.default_us)}) {
    fields.time(name, fields.find(name), *to);
  }
  fields.integer("trials", fields.find("trials"), record.trials);
  for (const auto& [name, to] : {std::pair("policy", &record.policy), std::pair("data", &record.data),
                                 std::pair("compiler", &record.compiler), std::pair("driver", &record.driver),
                                 std::pair("tool", &record.tool)}) {
    fields.text(name, fields.find(name), *to);
  }
  read_signatures(fields, record.signatures);
  fields.check_all_known();
  defect = fields.defect().empty() ? defect_of(record) : fields.defect();
  return record;
}

}  // namespace

std::string format_line(const TunedRecord& record) {
  Json json = {{"op", record.op},
               {"spec", record.spec},
               {"arch", record.arch},
               {"rows_low", record.rows_low},
               {"rows_high", record.rows_high == no_end ? Json() : Json(record.rows_high)},
               {"source", name_of(record.source)},
               {"device", record.device},
               {"tunables", format_tunables(record)},
               {"time_us", record.time_us},
               {"templates", record.templates},
               {"recorded_us", record.recorded_us}};
  if (has_details(record)) {
    json.update({{"low_us", record.low_us},
                 {"high_us", record.high_us},
                 {"default_us", record.default_us},
                 {"trials", record.trials},
                 {"policy", record.policy},
                 {"data", record.data},
                 {"compiler", record.compiler},
                 {"driver", record.driver},
                 {"tool", record.tool}});
  }
  for (const Signature& signature : record.signatures) {
    json["signatures"].push_back({{"signer", to_hex(signature.signer)}, {"bytes", to_hex(signature.bytes)}});
  }
  try {
    return json.dump(-1, ' ', true);
  } catch (const Json::type_error&) {
    return {};
  }
}

TunedLines parse_lines(std::string_view text) {
  TunedLines out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
    if (line.find_first_not_of(" \t") == std::string_view::npos) {
      continue;
    }
    std::string defect;
    TunedRecord record = parse_line(line, defect);
    if (defect.empty()) {
      out.records.push_back({number, std::move(record)});
    } else {
      out.defects.push_back({number, std::move(defect)});
    }
  }
  return out;
}

}  // namespace kerncast::cache
