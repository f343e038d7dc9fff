#pragma once

#include <sqlite3.h>

#include <catch2/catch.hpp>
#include <string>

/// A connection of another user of the database.
class DatabaseConnection {
 public:
  explicit DatabaseConnection(const std::string& path) {
    REQUIRE(sqlite3_open(path.c_str(), &database_) == SQLITE_OK);
  }
  ~DatabaseConnection() { sqlite3_close(database_); }
  DatabaseConnection(const DatabaseConnection&) = delete;
  DatabaseConnection& operator=(const DatabaseConnection&) = delete;
  void run(const std::string& sql) const {
    INFO(sqlite3_errmsg(database_));
    REQUIRE(sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  [[nodiscard]] std::string text(const char* sql) const {
    std::string out;
    const auto keep = [](void* to, int, char** values, char**) {
      *static_cast<std::string*>(to) = values[0];
      return 0;
    };
    REQUIRE(sqlite3_exec(database_, sql, keep, &out, nullptr) == SQLITE_OK);
    return out;
  }

 private:
  sqlite3* database_ = nullptr;
};
