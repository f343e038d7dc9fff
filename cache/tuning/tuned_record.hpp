#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/signature_list.hpp"

namespace kerncast::cache {

/// The origin of a tuned record's time.
enum class TunedSource : std::uint8_t {
  estimate,  ///< computed by a model of the device
  measured,  ///< measured on the device
};
[[nodiscard]] std::string_view name_of(TunedSource source);

/// The tunables found best for one op, specialisation, architecture and range of row counts.
struct TunedRecord {
  std::string op;
  std::string spec;  ///< as users write it, "x_dtype=bf16 hidden=7168"
  std::string arch;  ///< "sm_90a"
  std::int64_t rows_low = 1;
  std::int64_t rows_high = 1;  ///< inclusive
  TunedSource source = TunedSource::estimate;
  std::string device;  ///< the device that was measured, or the description used for the estimate
  std::vector<std::pair<std::string, std::int32_t>> tunables;
  double time_us = 0;
  std::string templates;         ///< digest of the template text that was tuned
  std::int64_t recorded_us = 0;  ///< time of recording, in microseconds since the Unix epoch

  /// The details: how the time was found. A record of an earlier schema has none, and each is 0 or empty
  /// then.
  double low_us = 0;  ///< interval of time_us; for an estimate both ends are time_us
  double high_us = 0;
  double default_us = 0;     ///< time of the op's own choice, found in the same way
  std::uint32_t trials = 0;  ///< candidates that were timed
  std::string policy;        ///< how was measured, "graph of 20, cold L2"; "cost model" for an estimate
  std::string data;          ///< how the data that steer time were drawn, "zipf 1.1"; empty: none do
  std::string compiler;      ///< "NVRTC 13.0"; may be empty for an estimate
  std::string driver;        ///< "580.65"; may be empty for an estimate
  std::string tool;          ///< "kerncast 0.1.0"

  std::vector<Signature> signatures;  ///< at most max_signatures; each covers every field above

  [[nodiscard]] bool operator==(const TunedRecord&) const = default;
};

/// True if one of the details of `record` is given.
[[nodiscard]] bool has_details(const TunedRecord& record);

/// The reason why `record` cannot be stored. Empty if it can. A record with details must have all but `data`,
/// `compiler` and `driver`.
[[nodiscard]] std::string defect_of(const TunedRecord& record);

/// The tunables as text, such as "threads=256 rows_per_block=1".
[[nodiscard]] std::string format_tunables(const TunedRecord& record);
/// Parses the text that format_tunables writes. Empty if `text` has another form.
[[nodiscard]] std::optional<std::vector<std::pair<std::string, std::int32_t>>> parse_tunables(
    std::string_view text);

/// True if the records have equal op, specialisation, architecture, rows, source and device. Of two such
/// records, a store keeps the newer one.
[[nodiscard]] bool same_place(const TunedRecord& a, const TunedRecord& b);
/// True if `a` comes before `b` in a list: by op, specialisation, architecture, rows, source (measurements
/// first) and device.
[[nodiscard]] bool in_order(const TunedRecord& a, const TunedRecord& b);

/// True if a store that has `stored` keeps it when it is given `record` for the same place: it is newer, or
/// it is the same record and `record` brings no other signatures.
[[nodiscard]] bool keeps(const TunedRecord& stored, const TunedRecord& record);

/// The latest time of recording that can be right. A clock that was wrong once must not decide for good which
/// record is the newer.
[[nodiscard]] std::int64_t latest_us();
/// The time of recording; 0, which is older than any other, for one after latest_us().
[[nodiscard]] std::int64_t dated_us(const TunedRecord& record);

/// `record` as a store keeps it: with dated_us() as its date, and zero for a time of minus zero, which the
/// database would change. If that changes it, the signatures, which cover it, are dropped.
[[nodiscard]] TunedRecord stored_form(TunedRecord record);

/// XXH3-64 over content_of(), and over the signatures if there are any.
[[nodiscard]] std::uint64_t checksum_of(const TunedRecord& record);

/// The bytes of every field but the signatures, as in serialise_records; those of the details only if there
/// are any, so that a record without them keeps the bytes, and the signatures, of earlier schemas. Equal
/// records give equal bytes.
[[nodiscard]] std::string content_of(const TunedRecord& record);

/// The forms of records as bytes. Each can hold what the ones before it can.
enum class RecordForm : std::uint8_t {
  plain,         ///< without signatures and details
  with_signed,   ///< each record is followed by its signatures
  with_details,  ///< each record is followed by its details, if it has any, and by its signatures
};
/// The first form that can hold every one of `records`.
[[nodiscard]] RecordForm form_of(const std::vector<TunedRecord>& records);

/// Serialises records, little endian:
///
///     records = u32 count, { text op, text spec, text arch, i64 rows_low, i64 rows_high, text source,
///                            text device, text tunables, time, text templates, i64 recorded
///                            [u8 detailed [details]] [signatures] }          in order, each place once
///     text    = u64 length, bytes
///     time    = u64, the bits of a double
///     detailed = 1 if details follow, else 0; in the form with_details
///     details = time low, time high, time default, u32 trials, text policy, text data, text compiler,
///               text driver, text tool
///     signatures = as write_signatures writes them, in the forms with_signed and with_details
[[nodiscard]] std::string serialise_records(const std::vector<TunedRecord>& records,
                                            RecordForm form = RecordForm::plain);
/// Reads what serialise_records writes. Empty if `bytes` are not sound records in order.
[[nodiscard]] std::optional<std::vector<TunedRecord>> parse_records(std::string_view bytes,
                                                                    RecordForm form = RecordForm::plain);

}  // namespace kerncast::cache
