#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cache/pack/pack.hpp"
#include "cache/store.hpp"

namespace kerncast::cache {

struct ExportResult {
  std::uint64_t entries = 0;
  std::uint64_t damaged = 0;  ///< files that are no sound entry, left out
};

/// Writes the entries of `store` that `wanted` takes, in order of key.
[[nodiscard]] ExportResult export_pack(const Store& store, const std::function<bool(const Entry&)>& wanted,
                                       const PackWriter::Sink& sink);

/// What a pack holds, entry by entry; `defect` says what is wrong with it, empty where it is sound.
struct PackCheck {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;  ///< cubin and PTX
  std::string defect;
};
[[nodiscard]] PackCheck verify_pack(const std::string& path);

struct ImportResult {
  std::uint64_t published = 0;
  std::uint64_t already = 0;  ///< sound in the store before
  std::uint64_t failed = 0;   ///< could not be written
  std::string defect;         ///< of the pack; nothing of it was published
};
/// Publishes what `store` lacks, after every entry of the pack has been verified.
[[nodiscard]] ImportResult import_pack(const std::string& path, Store& store);

}  // namespace kerncast::cache
