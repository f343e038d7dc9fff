#include "cache/tuning/tuned_record.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <tuple>

#include "cache/posix/byte_order.hpp"
#include "cache/posix/file_time.hpp"

namespace kerncast::cache {
namespace {

constexpr std::size_t most_text = 65536;

/// The fields that identify a record's place, in the order by which lists are sorted.
auto place_of(const TunedRecord& record) {
  return std::tuple(std::string_view(record.op), std::string_view(record.spec), std::string_view(record.arch),
                    record.rows_low, record.rows_high, record.source == TunedSource::measured ? 0 : 1,
                    std::string_view(record.device));
}

void write_time(Writer& out, double time_us) {
  out.integer(std::bit_cast<std::uint64_t>(time_us));
}

double read_time(Reader& in) {
  return std::bit_cast<double>(in.integer<std::uint64_t>());
}

void write_base(Writer& out, const TunedRecord& record) {
  out.text(record.op);
  out.text(record.spec);
  out.text(record.arch);
  out.integer(record.rows_low);
  out.integer(record.rows_high);
  out.text(name_of(record.source));
  out.text(record.device);
  out.text(format_tunables(record));
  write_time(out, record.time_us);
  out.text(record.templates);
  out.integer(record.recorded_us);
}

void write_details(Writer& out, const TunedRecord& record) {
  write_time(out, record.low_us);
  write_time(out, record.high_us);
  write_time(out, record.default_us);
  out.integer(record.trials);
  for (const std::string* text :
       {&record.policy, &record.data, &record.compiler, &record.driver, &record.tool}) {
    out.text(*text);
  }
}

void read_details(Reader& in, TunedRecord& record) {
  record.low_us = read_time(in);
  record.high_us = read_time(in);
  record.default_us = read_time(in);
  record.trials = in.integer<std::uint32_t>();
  for (std::string* text : {&record.policy, &record.data, &record.compiler, &record.driver, &record.tool}) {
    *text = in.text();
  }
}

/// Reads what follows the fields of the plain form. False if it has another form.
bool read_rest(Reader& in, RecordForm form, TunedRecord& record) {
  if (form == RecordForm::with_details) {
    const auto detailed = in.integer<std::uint8_t>();
    if (detailed == 1) {
      read_details(in, record);
    }
    // Details that are all missing are written as none, so that equal records give equal bytes.
    if (detailed > 1 || has_details(record) != (detailed == 1)) {
      return false;
    }
  }
  return form == RecordForm::plain || read_signatures(in, record.signatures);
}

/// Reads one record. False if the bytes are not a valid record.
bool read(Reader& in, RecordForm form, TunedRecord& record) {
  record.op = in.text();
  record.spec = in.text();
  record.arch = in.text();
  record.rows_low = in.integer<std::int64_t>();
  record.rows_high = in.integer<std::int64_t>();
  const std::string source = in.text();
  record.source = source == name_of(TunedSource::measured) ? TunedSource::measured : TunedSource::estimate;
  record.device = in.text();
  auto tunables = parse_tunables(in.text());
  record.time_us = read_time(in);
  record.templates = in.text();
  record.recorded_us = in.integer<std::int64_t>();
  const bool whole = read_rest(in, form, record);
  if (!in.ok() || !whole || !tunables || source != name_of(record.source)) {
    return false;
  }
  record.tunables = std::move(*tunables);
  return defect_of(record).empty();
}

/// True if `time_us` can be a time. A negative zero cannot: SQLite does not keep its sign. Records of earlier
/// schemas may have one, which stored_form() corrects.
bool is_time(double time_us) {
  return std::isfinite(time_us) && !std::signbit(time_us);
}

/// The reason why the details of `record` are no such; empty if they are.
std::string defect_of_details(const TunedRecord& record) {
  for (const auto& [name, time_us] :
       {std::pair("its time", record.time_us), std::pair("the low end of its interval", record.low_us),
        std::pair("the high end of its interval", record.high_us),
        std::pair("the default's time", record.default_us)}) {
    if (!is_time(time_us)) {
      return fmt::format("{}, {}, is not a time", name, time_us);
    }
  }
  if (record.low_us > record.time_us || record.time_us > record.high_us) {
    return fmt::format("its time {} is not in its interval {} to {}", record.time_us, record.low_us,
                       record.high_us);
  }
  if (record.source == TunedSource::estimate && record.low_us != record.high_us) {
    return "it is an estimate with an interval, which only measuring gives";
  }
  for (const auto& [name, missing] :
       {std::pair("policy", record.policy.empty()), std::pair("tool", record.tool.empty()),
        std::pair("trials", record.trials == 0)}) {
    if (missing) {
      return fmt::format("it has details and no {}", name);
    }
  }
  return {};
}

}  // namespace

std::string_view name_of(TunedSource source) {
  return source == TunedSource::measured ? "measured" : "estimate";
}

bool has_details(const TunedRecord& record) {
  const auto given = [](double time_us) { return std::bit_cast<std::uint64_t>(time_us) != 0; };
  return given(record.low_us) || given(record.high_us) || given(record.default_us) || record.trials != 0 ||
         !record.policy.empty() || !record.data.empty() || !record.compiler.empty() ||
         !record.driver.empty() || !record.tool.empty();
}

std::string defect_of(const TunedRecord& record) {
  struct Text {
    const char* name;
    const std::string& value;
    bool may_be_empty;
  };
  for (const auto& [name, value, may_be_empty] : {Text{"op", record.op, false},
                                                  {"specialisation", record.spec, true},
                                                  {"architecture", record.arch, false},
                                                  {"device", record.device, false},
                                                  {"templates", record.templates, false},
                                                  {"policy", record.policy, true},
                                                  {"data", record.data, true},
                                                  {"compiler", record.compiler, true},
                                                  {"driver", record.driver, true},
                                                  {"tool", record.tool, true}}) {
    if (value.size() > most_text || value.find('\0') != std::string::npos) {
      return fmt::format("its {} is longer than {} bytes or holds a zero byte", name, most_text);
    }
    if (value.empty() && !may_be_empty) {
      return fmt::format("it has no {}", name);
    }
  }
  if (record.rows_low < 1 || record.rows_high < record.rows_low) {
    return fmt::format("its rows {} to {} are not a range", record.rows_low, record.rows_high);
  }
  if (!std::isfinite(record.time_us) || record.time_us < 0) {
    return fmt::format("its time {} is not a time", record.time_us);
  }
  if (has_details(record)) {
    if (std::string defect = defect_of_details(record); !defect.empty()) {
      return defect;
    }
  }
  if (record.signatures.size() > max_signatures) {
    return fmt::format("it has more than {} signatures", max_signatures);
  }
  const auto tunables = parse_tunables(format_tunables(record));
  return tunables != record.tunables ? "a tunable's name is empty or holds a blank or '='" : std::string();
}

std::string format_tunables(const TunedRecord& record) {
  std::string text;
  for (const auto& [name, value] : record.tunables) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  }
  return text;
}

std::optional<std::vector<std::pair<std::string, std::int32_t>>> parse_tunables(std::string_view text) {
  std::vector<std::pair<std::string, std::int32_t>> tunables;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0 || end + 1 == text.size()) {
      return std::nullopt;
    }
    std::int32_t value = 0;
    const char* const stop = word.data() + word.size();
    const auto [parsed, error] = std::from_chars(word.data() + equals + 1, stop, value);
    if (error != std::errc() || parsed != stop) {
      return std::nullopt;
    }
    tunables.emplace_back(word.substr(0, equals), value);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return tunables;
}

bool same_place(const TunedRecord& a, const TunedRecord& b) {
  return place_of(a) == place_of(b);
}

bool in_order(const TunedRecord& a, const TunedRecord& b) {
  return place_of(a) < place_of(b);
}

bool keeps(const TunedRecord& stored, const TunedRecord& record) {
  if (content_of(stored) == content_of(record)) {
    return record.signatures.empty() || record.signatures == stored.signatures;
  }
  return dated_us(stored) > record.recorded_us;
}

std::int64_t latest_us() {
  return (now_ns_of_files() + clock_slack_ns) / 1000;
}

std::int64_t dated_us(const TunedRecord& record) {
  return record.recorded_us > latest_us() ? 0 : std::max<std::int64_t>(record.recorded_us, 0);
}

TunedRecord stored_form(TunedRecord record) {
  const std::int64_t dated = dated_us(record);
  // SQLite stores minus zero as zero.
  const bool is_minus_zero = record.time_us == 0 && std::signbit(record.time_us);
  if (dated != record.recorded_us || is_minus_zero) {
    record.recorded_us = dated;
    record.time_us = is_minus_zero ? 0 : record.time_us;
    record.signatures.clear();
  }
  return record;
}

std::uint64_t checksum_of(const TunedRecord& record) {
  Writer out;
  out.raw(content_of(record));
  if (!record.signatures.empty()) {
    write_signatures(out, record.signatures);
  }
  return XXH3_64bits(out.bytes().data(), out.bytes().size());
}

std::string content_of(const TunedRecord& record) {
  Writer out;
  write_base(out, record);
  if (has_details(record)) {
    write_details(out, record);
  }
  return out.take();
}

RecordForm form_of(const std::vector<TunedRecord>& records) {
  RecordForm form = RecordForm::plain;
  for (const TunedRecord& record : records) {
    if (has_details(record)) {
      return RecordForm::with_details;
    }
    form = record.signatures.empty() ? form : RecordForm::with_signed;
  }
  return form;
}

std::string serialise_records(const std::vector<TunedRecord>& records, RecordForm form) {
  Writer out;
  out.integer(static_cast<std::uint32_t>(records.size()));
  for (const TunedRecord& record : records) {
    write_base(out, record);
    if (form == RecordForm::with_details) {
      out.integer(static_cast<std::uint8_t>(has_details(record) ? 1 : 0));
      if (has_details(record)) {
        write_details(out, record);
      }
    }
    if (form != RecordForm::plain) {
      write_signatures(out, record.signatures);
    }
  }
  return out.take();
}

std::optional<std::vector<TunedRecord>> parse_records(std::string_view bytes, RecordForm form) {
  Reader in(bytes);
  const auto count = in.integer<std::uint32_t>();
  std::vector<TunedRecord> records;
  for (std::uint32_t i = 0; i < count; ++i) {
    TunedRecord record;
    if (!read(in, form, record) || (!records.empty() && !in_order(records.back(), record))) {
      return std::nullopt;
    }
    records.push_back(std::move(record));
  }
  return in.done() ? std::optional(std::move(records)) : std::nullopt;
}

}  // namespace kerncast::cache
