#include "cache/tuning/tuning_database.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cache/posix/byte_order.hpp"
#include "cache/signature_list.hpp"
#include "runtime/util/leading_number.hpp"

namespace kerncast::cache::tuning_database {
namespace {

using sqlite::Database;
using sqlite::execute;
using sqlite::prepare;
using sqlite::State;
using sqlite::state_of;
using sqlite::Statement;

// The application id is this mark ("KC") plus the version, so that a damaged version number is not taken for
// a newer build's.
constexpr int application_mark = 0x4B430000;

/// The columns of a record's place, of its content, and of its details, each in the order of the table.
constexpr std::array place_fields = {"op", "spec", "arch", "rows_low", "rows_high", "source", "device"};
constexpr std::array content_fields = {"tunables", "time_us", "templates", "recorded_us"};
constexpr std::array detail_fields = {"low_us", "high_us",  "default_us", "trials", "policy",
                                      "data",   "compiler", "driver",     "tool"};

bool holds_signatures(std::int64_t version) {
  return version >= signed_schema_version;
}

bool holds_details(std::int64_t version) {
  return version >= schema_version;
}

/// The first version that can hold every one of `records`.
std::int64_t version_for(const std::vector<TunedRecord>& records) {
  switch (form_of(records)) {
    case RecordForm::plain:
      return unsigned_schema_version;
    case RecordForm::with_signed:
      return signed_schema_version;
    case RecordForm::with_details:
      break;
  }
  return schema_version;
}

std::string table_of(std::int64_t version) {
  return fmt::format(
      "tuned(op TEXT NOT NULL, spec TEXT NOT NULL, arch TEXT NOT NULL, rows_low INTEGER NOT NULL, "
      "rows_high INTEGER NOT NULL, source TEXT NOT NULL, device TEXT NOT NULL, tunables TEXT NOT NULL, "
      "time_us REAL NOT NULL, templates TEXT NOT NULL, recorded_us INTEGER NOT NULL, "
      "checksum INTEGER NOT NULL, {}{}PRIMARY KEY({}))",
      holds_details(version)
          ? "low_us REAL NOT NULL, high_us REAL NOT NULL, default_us REAL NOT NULL, trials INTEGER NOT NULL, "
            "policy TEXT NOT NULL, data TEXT NOT NULL, compiler TEXT NOT NULL, driver TEXT NOT NULL, "
            "tool TEXT NOT NULL, "
          : "",
      holds_signatures(version) ? "signatures BLOB NOT NULL, " : "", fmt::join(place_fields, ", "));
}

/// The columns of content in a database of `version`, without checksum and signatures.
std::vector<std::string> content_columns(std::int64_t version) {
  std::vector<std::string> columns(content_fields.begin(), content_fields.end());
  if (holds_details(version)) {
    columns.insert(columns.end(), detail_fields.begin(), detail_fields.end());
  }
  return columns;
}

/// All columns in the order of the table.
std::vector<std::string> columns_of(std::int64_t version) {
  std::vector<std::string> columns(place_fields.begin(), place_fields.end());
  columns.insert(columns.end(), content_fields.begin(), content_fields.end());
  columns.emplace_back("checksum");
  if (holds_details(version)) {
    columns.insert(columns.end(), detail_fields.begin(), detail_fields.end());
  }
  if (holds_signatures(version)) {
    columns.emplace_back("signatures");
  }
  return columns;
}

/// A statement that stores a record. The parameter after those of the columns is latest_us().
std::string upsert_statement(std::int64_t version) {
  const std::size_t count = columns_of(version).size();
  std::vector<std::string> places;
  std::vector<std::string> sets{"checksum = excluded.checksum"};
  std::vector<std::string> differs;
  for (std::size_t i = 1; i <= count; ++i) {
    places.push_back(fmt::format("?{}", i));
  }
  for (const std::string& column : content_columns(version)) {
    sets.push_back(fmt::format("{0} = excluded.{0}", column));
    differs.push_back(fmt::format("excluded.{0} <> {0}", column));
  }
  std::string statement;
  if (holds_signatures(version)) {
    sets.emplace_back("signatures = excluded.signatures");
    // A record without signatures does not replace an equal one, which may have some; see keeps().
    statement = fmt::format(" AND (excluded.signatures <> x'' OR {})", fmt::join(differs, " OR "));
  }
  return fmt::format(
      "INSERT INTO tuned VALUES({}) ON CONFLICT DO UPDATE SET {} "
      "WHERE (excluded.recorded_us >= recorded_us OR recorded_us > ?{}) AND excluded.checksum <> checksum{}",
      fmt::join(places, ", "), fmt::join(sets, ", "), count + 1, statement);
}

constexpr const char* delete_record =
    "DELETE FROM tuned WHERE op = ? AND spec = ? AND arch = ? AND rows_low = ? AND rows_high = ? AND "
    "source = ? AND device = ?";

Content failed(const Database& database, int result) {
  Content out;
  out.condition = state_of(result) == State::broken ? Condition::broken : Condition::unavailable;
  out.defect = database == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(database.get());
  out.result = result;
  out.system_error = database == nullptr ? 0 : sqlite3_system_errno(database.get());
  return out;
}

/// Runs `sql` and stores the first value of its first row as text.
int ask(const Database& database, const char* sql, std::string& answer) {
  Statement query;
  int result = prepare(database, sql, query);
  if (result == SQLITE_OK) {
    result = sqlite3_step(query.get());
  }
  if (result == SQLITE_ROW) {
    answer = sqlite::column(query, 0);
  }
  return result;
}

/// Sets `out.condition` and the version from the marks in the database's header. False if there can be no
/// records to read.
bool read_marks(const Database& database, Content& out, std::int64_t& number) {
  std::string version;
  std::string mark;
  std::string tables;
  for (const auto& [sql, answer] :
       {std::pair("PRAGMA user_version", &version), std::pair("PRAGMA application_id", &mark),
        std::pair("SELECT count(*) FROM sqlite_schema", &tables)}) {
    if (const int result = ask(database, sql, *answer); result != SQLITE_ROW) {
      out = failed(database, result);
      return false;
    }
  }
  if (version == "0" && mark == "0" && tables == "0") {
    out.condition = Condition::empty;
    return false;
  }
  number = leading_number(version);
  if (number < 1 || leading_number(mark) != application_mark + number) {
    out.condition = Condition::broken;
    out.defect = fmt::format("its version {} and mark {} do not belong together", version, mark);
    return false;
  }
  if (number > schema_version) {
    out.condition = Condition::newer;
    out.defect = fmt::format(
        "it has schema version {}, this build knows {}; use a Kerncast as new as the one that wrote it",
        number, schema_version);
    return false;
  }
  return true;
}

std::string signatures_column(const TunedRecord& record) {
  Writer out;
  if (!record.signatures.empty()) {
    write_signatures(out, record.signatures);
  }
  return out.take();
}

/// Reads what signatures_column gives. False if it does not give `bytes`.
bool read_signatures_column(const std::string& bytes, TunedRecord& record) {
  Reader in(bytes);
  return bytes.empty() || (read_signatures(in, record.signatures) && in.done());
}

/// Reads the details of a row, which begin at column `at`, and returns the next column.
int read_details(const Statement& query, int at, TunedRecord& record) {
  for (double* time_us : {&record.low_us, &record.high_us, &record.default_us}) {
    *time_us = sqlite3_column_double(query.get(), at++);
  }
  // A number that is no such is found by the checksum.
  record.trials = static_cast<std::uint32_t>(sqlite3_column_int64(query.get(), at++));
  for (std::string* text : {&record.policy, &record.data, &record.compiler, &record.driver, &record.tool}) {
    *text = sqlite::column(query, at++);
  }
  return at;
}

/// Reads one row of a database of this version. False if this store did not write it.
bool read_row(const Statement& query, std::int64_t version, TunedRecord& record) {
  record.op = sqlite::column(query, 0);
  record.spec = sqlite::column(query, 1);
  record.arch = sqlite::column(query, 2);
  record.rows_low = sqlite3_column_int64(query.get(), 3);
  record.rows_high = sqlite3_column_int64(query.get(), 4);
  record.source = sqlite::column(query, 5) == name_of(TunedSource::measured) ? TunedSource::measured
                                                                             : TunedSource::estimate;
  record.device = sqlite::column(query, 6);
  auto tunables = parse_tunables(sqlite::column(query, 7));
  record.time_us = sqlite3_column_double(query.get(), 8);
  record.templates = sqlite::column(query, 9);
  record.recorded_us = sqlite3_column_int64(query.get(), 10);
  constexpr int checksum_column = 11;
  const int next =
      holds_details(version) ? read_details(query, checksum_column + 1, record) : checksum_column + 1;
  if (!tunables ||
      (holds_signatures(version) && !read_signatures_column(sqlite::column(query, next), record))) {
    return false;
  }
  record.tunables = std::move(*tunables);
  return defect_of(record).empty() && static_cast<std::uint64_t>(sqlite3_column_int64(
                                          query.get(), checksum_column)) == checksum_of(record);
}

int read_rows(const Database& database, std::int64_t version, Content& out, std::uint64_t& unsound) {
  Statement query;
  const std::string select = fmt::format("SELECT {} FROM tuned", fmt::join(columns_of(version), ", "));
  int result = prepare(database, select.c_str(), query);
  while (result == SQLITE_OK || result == SQLITE_ROW) {
    result = sqlite3_step(query.get());
    if (TunedRecord record; result == SQLITE_ROW) {
      if (read_row(query, version, record)) {
        out.records.push_back(std::move(record));
      } else {
        ++unsound;
      }
    }
  }
  std::sort(out.records.begin(), out.records.end(), in_order);
  return result;
}

/// Binds the fields that identify the place of `record`, and returns the next index.
int bind_place(const Statement& statement, const TunedRecord& record) {
  int at = 1;
  for (const std::string* text : {&record.op, &record.spec, &record.arch}) {
    sqlite::bind(statement, at++, *text);
  }
  sqlite3_bind_int64(statement.get(), at++, record.rows_low);
  sqlite3_bind_int64(statement.get(), at++, record.rows_high);
  sqlite::bind(statement, at++, name_of(record.source));
  sqlite::bind(statement, at++, record.device);
  return at;
}

/// Runs `sql` for each record. `bind_rest` binds the parameters after the place.
template <class BindRest>
Change run_for_each(const Database& database, const char* sql, const std::vector<TunedRecord>& records,
                    BindRest&& bind_rest) {
  Change out;
  Statement statement;
  out.result = prepare(database, sql, statement);
  for (const TunedRecord& record : records) {
    if (out.result != SQLITE_OK) {
      break;
    }
    const std::string tunables = format_tunables(record);
    const std::string signatures = signatures_column(record);
    bind_rest(statement, bind_place(statement, record), record, tunables, signatures);
    sqlite3_step(statement.get());
    out.rows += static_cast<std::uint64_t>(sqlite3_changes(database.get()));
    out.result = sqlite3_reset(statement.get());
  }
  return out;
}

/// Runs `work`, which returns a Change, in one transaction.
template <class Work>
Change in_transaction(const Database& database, Work&& work) {
  Change out;
  out.result = execute(database, "BEGIN IMMEDIATE");
  if (out.result == SQLITE_OK) {
    out = work();
  }
  if (out.result == SQLITE_OK) {
    out.result = execute(database, "COMMIT");
  }
  if (out.result != SQLITE_OK) {
    out.rows = 0;
    if (sqlite3_get_autocommit(database.get()) == 0) {
      static_cast<void>(execute(database, "ROLLBACK"));
    }
  }
  return out;
}

/// Binds the details of `record`, which begin at `at`, and returns the next index.
int bind_details(const Statement& statement, int at, const TunedRecord& record) {
  for (const double time_us : {record.low_us, record.high_us, record.default_us}) {
    sqlite3_bind_double(statement.get(), at++, time_us);
  }
  sqlite3_bind_int64(statement.get(), at++, record.trials);
  for (const std::string* text :
       {&record.policy, &record.data, &record.compiler, &record.driver, &record.tool}) {
    sqlite::bind(statement, at++, *text);
  }
  return at;
}

Change upsert(const Database& database, std::int64_t version, const std::vector<TunedRecord>& records) {
  return run_for_each(database, upsert_statement(version).c_str(), records,
                      [version](const Statement& statement, int at, const TunedRecord& record,
                                const std::string& tunables, const std::string& signatures) {
                        sqlite::bind(statement, at++, tunables);
                        sqlite3_bind_double(statement.get(), at++, record.time_us);
                        sqlite::bind(statement, at++, record.templates);
                        sqlite3_bind_int64(statement.get(), at++, record.recorded_us);
                        sqlite3_bind_int64(statement.get(), at++,
                                           static_cast<sqlite3_int64>(checksum_of(record)));
                        at = holds_details(version) ? bind_details(statement, at, record) : at;
                        if (holds_signatures(version)) {
                          sqlite3_bind_blob(statement.get(), at++, signatures.data(),
                                            static_cast<int>(signatures.size()), SQLITE_STATIC);
                        }
                        sqlite3_bind_int64(statement.get(), at, latest_us());
                      });
}

std::string create_statements(std::int64_t version) {
  return fmt::format("CREATE TABLE {}; PRAGMA user_version = {}; PRAGMA application_id = {};",
                     table_of(version), version, application_mark + version);
}

/// Changes a database of version `from` to the later version `to`, in a transaction that the caller has
/// begun.
int migrate(const Database& database, std::int64_t from, std::int64_t to) {
  Content old;
  std::uint64_t unsound = 0;
  int result = read_rows(database, from, old, unsound);
  if (result != SQLITE_DONE || unsound > 0) {
    return result != SQLITE_DONE ? result : SQLITE_CORRUPT;
  }
  result = execute(database, ("DROP TABLE tuned; " + create_statements(to)).c_str());
  return result == SQLITE_OK ? upsert(database, to, old.records).result : result;
}

/// Stores `records`, in a transaction that the caller has begun.
Change insert_records(const Database& database, const std::vector<TunedRecord>& records) {
  std::string text;
  if (const int result = ask(database, "PRAGMA user_version", text); result != SQLITE_ROW) {
    return {result, 0};
  }
  std::int64_t version = leading_number(text);
  if (const std::int64_t needed = version_for(records); needed > version) {
    if (const int result = migrate(database, version, needed); result != SQLITE_OK) {
      return {result, 0};
    }
    version = needed;
  }
  return upsert(database, version, records);
}

Database in_memory() {
  Database database;
  return sqlite::open_in_memory(database) == SQLITE_OK ? std::move(database) : nullptr;
}

/// Changes the read and write versions in a database header from write-ahead log to rollback journal: a copy
/// of the file alone has no log beside it.
template <class Byte>
void without_log(Byte* bytes, std::size_t size) {
  for (const std::size_t at : {18U, 19U}) {
    if (at < size && bytes[at] == 2) {
      bytes[at] = 1;
    }
  }
}

std::string bytes_of(const Database& database) {
  struct Free {
    void operator()(unsigned char* bytes) const { sqlite3_free(bytes); }
  };
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, Free> bytes(sqlite3_serialize(database.get(), "main", &size, 0));
  if (bytes == nullptr) {
    return {};
  }
  std::string out(reinterpret_cast<const char*>(bytes.get()), static_cast<std::size_t>(size));
  without_log(out.data(), out.size());
  return out;
}

}  // namespace

Content read(const Database& database) {
  Content out;
  std::int64_t version = 0;
  if (!read_marks(database, out, version)) {
    return out;
  }
  if (sqlite::compare_schema(database, table_of(version)) == State::broken) {
    out.condition = Condition::broken;
    out.defect = "it holds something else than the table of records";
    return out;
  }
  std::string integrity;
  if (const int result = ask(database, "PRAGMA integrity_check(1)", integrity); result != SQLITE_ROW) {
    out = failed(database, result);
    integrity.clear();
  }
  std::uint64_t unsound = 0;
  const int result = read_rows(database, version, out, unsound);
  if (!out.defect.empty()) {
    return out;
  }
  if (result == SQLITE_ERROR) {
    out.condition = Condition::broken;
    out.defect = sqlite3_errmsg(database.get());  // no such table or column
  } else if (result != SQLITE_DONE) {
    std::vector<TunedRecord> records = std::move(out.records);
    out = failed(database, result);
    out.records = std::move(records);
  } else if (integrity != "ok") {
    out.condition = Condition::broken;
    out.defect = integrity;
  } else if (unsound > 0) {
    out.condition = Condition::broken;
    out.defect =
        fmt::format("checksum mismatch of {} of its {} records", unsound, out.records.size() + unsound);
  } else {
    out.condition = Condition::usable;
  }
  return out;
}

Content read(std::string_view bytes) {
  const Database database = in_memory();
  if (database == nullptr) {
    return failed(database, SQLITE_NOMEM);
  }
  auto* copy = static_cast<unsigned char*>(sqlite3_malloc64(bytes.size() + 1));
  if (copy == nullptr) {
    return failed(database, SQLITE_NOMEM);
  }
  std::memcpy(copy, bytes.data(), bytes.size());
  without_log(copy, bytes.size());
  const auto size = static_cast<sqlite3_int64>(bytes.size());
  // SQLite frees the copy, even if this call fails.
  const int result = sqlite3_deserialize(database.get(), "main", copy, size, size,
                                         SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY);
  Content out = result == SQLITE_OK ? read(database) : failed(database, result);
  // Nobody else uses these bytes, so a failure means that they are damaged.
  if (out.condition == Condition::unavailable && sqlite3_errcode(database.get()) != SQLITE_NOMEM) {
    out.condition = Condition::broken;
  }
  return out;
}

int create(const Database& database) {
  const auto create_first = [&]() -> Change {
    std::string version;
    if (const int result = ask(database, "PRAGMA user_version", version); result != SQLITE_ROW) {
      return {result, 0};
    }
    // Another process may have created them meanwhile, in any version.
    return {
        version == "0" ? execute(database, create_statements(unsigned_schema_version).c_str()) : SQLITE_OK,
        0};
  };
  return in_transaction(database, create_first).result;
}

Change insert(const Database& database, const std::vector<TunedRecord>& records) {
  return in_transaction(database, [&] { return insert_records(database, records); });
}

Change remove(const Database& database, const std::vector<TunedRecord>& records) {
  return in_transaction(database, [&] {
    return run_for_each(
        database, delete_record, records,
        [](const Statement&, int, const TunedRecord&, const std::string&, const std::string&) {});
  });
}

std::string copy_of(const Database& database) {
  const Database copy = in_memory();
  sqlite3_backup* backup =
      copy == nullptr ? nullptr : sqlite3_backup_init(copy.get(), "main", database.get(), "main");
  if (backup == nullptr) {
    return {};
  }
  const int stepped = sqlite3_backup_step(backup, -1);
  return sqlite3_backup_finish(backup) == SQLITE_OK && stepped == SQLITE_DONE ? bytes_of(copy)
                                                                              : std::string();
}

std::string database_of(const std::vector<TunedRecord>& records) {
  const Database database = in_memory();
  return database != nullptr && create(database) == SQLITE_OK && insert(database, records).result == SQLITE_OK
             ? bytes_of(database)
             : std::string();
}

}  // namespace kerncast::cache::tuning_database
