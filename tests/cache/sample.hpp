#pragma once

#include <filesystem>
#include <string>

#include "cache/entry.hpp"

/// An entry with every field set, and a folder that is removed with the object.
inline kerncast::cache::Entry sample_entry(const std::string& op = "norm.rms_norm") {
  kerncast::cache::Entry entry;
  entry.op = op;
  entry.spec = "x_dtype=bf16 hidden=7168";
  entry.arch = "sm_90a";
  entry.lowered_name = "_Z6kernelv";
  entry.cubin = std::string(
      "\x7f"
      "ELF\0\1\2",
      7);
  entry.ptx = ".version 9.0";
  entry.resources = {{"registers", 40}, {"spill_store_bytes", 0}, {"negative", -1}};
  entry.key_fields = {{"source", "text"}, {"arch", "sm_90a"}};
  return entry;
}

class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& base = std::filesystem::temp_directory_path()) {
    std::string name = (base / "kerncast-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};
