// Fuzzes the bodies of entry files of every version. Header and checksum are made correct, so that the parser
// reaches the body. See tools/dev/fuzz.sh.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cache/entry.hpp"
#include "cache/posix/byte_order.hpp"
#include "tests/cache/damaged_bytes.hpp"
#include "tests/cache/sample.hpp"

namespace cache = kerncast::cache;

namespace {

const cache::Key key{1, 2};
constexpr std::size_t header_bytes = 8 + 4 + 16 + 8;
constexpr std::size_t checksum_bytes = 16;

std::string file_of(std::uint32_t version, const std::string& body) {
  cache::Writer out;
  out.raw("KERNCAST");
  out.integer(version);
  out.integer(key.high);
  out.integer(key.low);
  out.text(body);
  return out.bytes() + checksum_of(out.bytes());
}

}  // namespace

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  // The input itself is not an entry, since its checksum is wrong.
  if (cache::parse(cache::claimed_key(input).value_or(key), input).entry) {
    std::abort();
  }
  for (const std::uint32_t version :
       {cache::entry_version, cache::signed_entry_version, cache::dated_entry_version}) {
    const std::string file = file_of(version, input);
    const cache::ParsedEntry parsed = cache::parse(key, file);
    if (parsed.entry.has_value() != parsed.defect.empty() ||
        (parsed.entry && cache::serialise(key, *parsed.entry) != file)) {
      std::abort();
    }
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  if (size < 2) {
    const std::string good = cache::serialise(key, seed % 2 == 0 ? sample_entry() : dated_entry());
    const std::size_t body = std::min(most, good.size() - header_bytes - checksum_bytes);
    std::memcpy(data, good.data() + header_bytes, body);
    return body;
  }
  return LLVMFuzzerMutate(data, size, most);
}

}  // extern "C"
