#include "tools/verify/place_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kerncast::tools {
namespace {

void add(PlaceReport& report, const cache::Key& key, const cache::ParsedEntry& parsed, Finding finding) {
  ++report.entries;
  ++report.by_verdict[static_cast<std::size_t>(finding.verdict)];
  report.loaded += finding.loaded ? 1 : 0;
  if (finding.verdict == Verdict::sound) {
    report.bytes += parsed.entry->cubin.size() + parsed.entry->ptx.size();
    return;
  }
  report.entry_defects.push_back(
      {key, parsed.entry ? parsed.entry->op : std::string(), std::move(finding), {}, true});
}

/// Every n-th of `keys`, so that at most `most` remain. Keys are hashes, so these stand for all.
std::vector<cache::Key> sample(std::vector<cache::Key> keys, std::size_t most) {
  if (keys.size() <= most) {
    return keys;
  }
  std::vector<cache::Key> chosen;
  chosen.reserve(most);
  for (std::size_t i = 0; i < most; ++i) {
    chosen.push_back(keys[i * keys.size() / most]);
  }
  return chosen;
}

void verify_databases(Source& source, const EntryVerifier& verifier, PlaceReport& report) {
  Databases databases = source.databases();
  report.tuned = databases.tuned;
  // The cause that keeps the entries from being read may keep the records from it too.
  const std::string told = report.place_defects.empty() ? std::string() : report.place_defects.front().text;
  for (std::string& defect : databases.defects) {
    if (told.empty() || defect.find(told) == std::string::npos) {
      report.place_defects.push_back({std::move(defect), {}, true});
    }
  }
  const auto unsigned_records =
      std::count_if(databases.records.begin(), databases.records.end(),
                    [&](const cache::TunedRecord& record) { return !verifier.defect_of(record).empty(); });
  if (unsigned_records > 0) {
    report.notes.push_back(
        fmt::format("{} of its {} tuned records are not used: KERNCAST_TRUSTED_KEYS demands a signature that "
                    "they do not have",
                    unsigned_records, databases.tuned));
  }
}

}  // namespace

std::uint64_t PlaceReport::left() const {
  const auto is_left = [](const auto& defect) { return defect.left; };
  return static_cast<std::uint64_t>(std::count_if(entry_defects.begin(), entry_defects.end(), is_left) +
                                    std::count_if(place_defects.begin(), place_defects.end(), is_left));
}

PlaceReport verify(Source& source, const EntryVerifier& verifier, const Bounds& bounds) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begun = Clock::now();
  PlaceReport report;
  report.name = source.name();
  report.kind = source.kind();
  std::string defect;
  const std::vector<cache::Key> all = source.keys(defect);
  if (!defect.empty()) {
    report.place_defects.push_back({std::move(defect), {}, true});
  }
  const std::vector<cache::Key> keys = sample(all, bounds.entries);
  report.whole = keys.size() == all.size();
  for (const cache::Key& key : keys) {
    if (Clock::now() - begun > bounds.time) {
      report.whole = false;
      break;
    }
    const Found found = source.find(key);
    if (!found.failure.empty()) {
      report.whole = false;
      report.place_defects.push_back(
          {fmt::format("it failed after {} of {} look-ups: {}", report.asked, keys.size(), found.failure),
           {},
           true});
      break;
    }
    ++report.asked;
    if (found.parsed.other_version) {
      ++report.other_versions;
    } else if (found.present) {
      add(report, key, found.parsed, verifier.verify(key, found.parsed, source.rule()));
    }
    if (bounds.progress) {
      bounds.progress(report.asked, keys.size());
    }
  }
  verify_databases(source, verifier, report);
  return report;
}

}  // namespace kerncast::tools
