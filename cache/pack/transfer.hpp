#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"
#include "cache/pack/pack.hpp"
#include "cache/tuning/tuning_store.hpp"

namespace kerncast::cache {

struct ExportResult {
  std::uint64_t entries = 0;
  std::uint64_t damaged = 0;  ///< files that are no sound entry, left out
};

/// Writes the entries of `store` that `wanted` takes, in order of key, and the records `tuned`, in order.
[[nodiscard]] ExportResult export_pack(const Store& store, const std::function<bool(const Entry&)>& wanted,
                                       const PackWriter::Sink& sink,
                                       const std::vector<TunedRecord>& tuned = {});

/// What a pack holds, entry by entry; `defect` says what is wrong with it, empty where it is sound.
struct PackCheck {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  ///< cubin and PTX
  std::uint64_t tuned = 0;  ///< tuned records
  std::string defect;
};
[[nodiscard]] PackCheck verify_pack(const std::string& path);

struct ImportResult {
  std::uint64_t published = 0;
  std::uint64_t already = 0;  ///< sound in the store before
  std::uint64_t failed = 0;   ///< could not be written
  RecordResult tuned;         ///< of the tuned records
  std::string defect;         ///< of the pack; nothing of it was published
};
/// Publishes what `store` lacks and records the tuned records that `tuning` lacks or has older, after all of
/// the pack has been verified. Measured records and estimates have places of their own, so that no estimate
/// replaces a measurement.
[[nodiscard]] ImportResult import_pack(const std::string& path, Store& store, TuningStore& tuning);

}  // namespace kerncast::cache
