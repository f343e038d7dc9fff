#include "cache/tuning/tuned_digest.hpp"

#include <xxhash.h>

#include "cache/key.hpp"

namespace kerncast::cache {

std::string tuned_digest(const std::vector<std::vector<TunedRecord>>& layers) {
  std::string bytes;
  for (std::vector<TunedRecord> records : layers) {
    if (!records.empty()) {
      for (TunedRecord& record : records) {
        record.signatures.clear();
      }
      bytes += serialise_records(records, RecordForm::with_details);
    }
  }
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return Key{hash.high64, hash.low64}.hex();
}

}  // namespace kerncast::cache
