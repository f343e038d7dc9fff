#include "runtime/dispatch/tunables/built_in_records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "cache/tuning/tuned_lines.hpp"

namespace kerncast {
namespace {

/// The reason why a sound record must not come with the library; empty if it may.
std::string defect_of(const cache::TunedRecord& record, std::string_view arch) {
  if (record.source != cache::TunedSource::measured) {
    return "it is an estimate";
  }
  if (!record.device.starts_with("NVIDIA ")) {
    return fmt::format("'{}' is no device of NVIDIA", record.device);
  }
  return record.arch == arch ? std::string() : fmt::format("it is for {}, not {}", record.arch, arch);
}

/// The architecture that the file is named after: "sm_90a" for "tuned/sm_90a.jsonl".
std::string_view arch_of(std::string_view file) {
  const std::string_view name = file.substr(file.rfind('/') + 1);
  return name.substr(0, name.find('.'));
}

}  // namespace

std::vector<cache::TunedRecord> built_in_records(std::span<const EmbeddedFile> files,
                                                 std::vector<std::string>& defects) {
  std::vector<cache::TunedRecord> records;
  for (std::size_t i = 0; i < files.size();) {
    const std::string_view file = files[i].name;
    std::string text;
    for (; i < files.size() && files[i].name == file; ++i) {
      text += files[i].text;
    }
    const auto refuse = [&](std::size_t line, std::string_view why) {
      defects.push_back(fmt::format("{}:{}: {}", file, line, why));
    };
    cache::TunedLines lines = cache::parse_lines(text);
    for (const cache::LineDefect& defect : lines.defects) {
      refuse(defect.number, defect.reason);
    }
    for (cache::TunedLine& line : lines.records) {
      const auto at = std::lower_bound(records.begin(), records.end(), line.record, cache::in_order);
      const bool twice = at != records.end() && cache::same_place(*at, line.record);
      const std::string defect =
          twice ? "another line has the same place" : defect_of(line.record, arch_of(file));
      if (defect.empty()) {
        records.insert(at, std::move(line.record));
      } else {
        refuse(line.number, defect);
      }
    }
  }
  return records;
}

}  // namespace kerncast
