// Bodies of entry files under a right header and checksum, so that what lies behind them is reached. See
// tools/dev/fuzz.sh.
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cache/entry.hpp"
#include "cache/posix/byte_order.hpp"
#include "tests/cache/sample.hpp"

namespace cache = kerncast::cache;

namespace {

const cache::Key key{1, 2};
constexpr std::size_t header_bytes = 8 + 4 + 16 + 8;
constexpr std::size_t checksum_bytes = 16;

std::string file_of(const std::string& body) {
  cache::Writer out;
  out.raw("KERNCAST");
  out.integer(cache::entry_version);
  out.integer(key.high);
  out.integer(key.low);
  out.text(body);
  const XXH128_hash_t hash = XXH3_128bits(out.bytes().data(), out.bytes().size());
  out.integer(hash.high64);
  out.integer(hash.low64);
  return out.take();
}

}  // namespace

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  // As it is, it is no entry, whatever it claims.
  if (cache::parse(cache::claimed_key(input).value_or(key), input).entry) {
    std::abort();
  }
  const std::string file = file_of(input);
  const cache::ParsedEntry parsed = cache::parse(key, file);
  if (parsed.entry.has_value() != parsed.defect.empty() ||
      (parsed.entry && cache::serialise(key, *parsed.entry) != file)) {
    std::abort();
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                    unsigned /*seed*/) {
  if (size < 2) {
    const std::string good = cache::serialise(key, sample_entry());
    const std::size_t body = std::min(most, good.size() - header_bytes - checksum_bytes);
    std::memcpy(data, good.data() + header_bytes, body);
    return body;
  }
  return LLVMFuzzerMutate(data, size, most);
}

}  // extern "C"
