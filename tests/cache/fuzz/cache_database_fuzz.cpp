// Fuzzes tuning databases, as a read-only layer has them. See tools/dev/fuzz.sh.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "cache/tuning/tuned_record.hpp"
#include "cache/tuning/tuning_database.hpp"
#include "tests/cache/fuzz/sample_mutator.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

namespace cache = kerncast::cache;
using cache::tuning_database::Condition;
using cache::tuning_database::Content;

namespace {

std::string sample_input(unsigned seed) {
  return cache::tuning_database::database_of({seed % 3 == 2 ? detailed_record(1) : sample_record(1),
                                              sample_record(2),
                                              seed % 3 == 0 ? sample_record(3) : signed_record(3)});
}

}  // namespace

extern "C" {

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Content content =
      cache::tuning_database::read(std::string_view(reinterpret_cast<const char*>(data), size));
  const bool has_defect = content.condition != Condition::usable && content.condition != Condition::empty;
  if (has_defect == content.defect.empty()) {
    std::abort();
  }
  for (const cache::TunedRecord& record : content.records) {
    if (!cache::defect_of(record).empty()) {
      std::abort();
    }
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return mutate_from(size < 2 ? sample_input(seed) : std::string(), data, size, most);
}

}  // extern "C"
