// Fuzzes packs. The checksums are made correct, so that the reader reaches the table, the compressed entries
// and the tuned records. The first byte of an input chooses the version. See tools/dev/fuzz.sh.
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cache/pack/pack.hpp"
#include "cache/pack/pack_format.hpp"
#include "cache/posix/byte_order.hpp"
#include "tests/cache/damaged_bytes.hpp"
#include "tests/cache/fuzz/sample_mutator.hpp"
#include "tests/cache/sample.hpp"
#include "tests/cache/tuning/tuned_sample.hpp"

namespace cache = kerncast::cache;

namespace {

constexpr std::size_t offsets_bytes = 16;  // of the footer, before its checksum

std::uint64_t number(const std::string& bytes, std::size_t at) {
  return cache::Reader(std::string_view(bytes).substr(at)).integer<std::uint64_t>();
}

void set_number(std::string& bytes, std::size_t at, std::uint64_t value) {
  cache::Writer out;
  out.integer(value);
  bytes.replace(at, 8, out.bytes());
}

/// `middle` consists of frames, table, the places of shared and tuned if there are any, table offset and
/// count.
std::string pack_of(const std::string& middle, std::uint32_t version) {
  const bool has_places = version != cache::first_pack_version;
  cache::Writer head;
  head.raw(cache::pack_format::magic);
  head.integer(version);
  std::string file = head.bytes() + middle;
  const std::size_t place_bytes = cache::pack_format::place_bytes;
  if (middle.size() < offsets_bytes + (has_places ? 2 * place_bytes : 0)) {
    return file;
  }
  const std::size_t footer = file.size() - offsets_bytes;
  const std::uint64_t table = number(file, footer);
  for (std::uint64_t at = table; at <= footer && footer - at >= cache::pack_format::item_bytes;
       at += cache::pack_format::item_bytes) {
    const auto item = static_cast<std::size_t>(at);
    const std::uint64_t offset = number(file, item + 16);
    const std::uint64_t bytes = number(file, item + 24);
    if (offset <= footer && bytes <= footer - offset) {
      set_number(
          file, item + 40,
          XXH3_64bits(file.data() + static_cast<std::size_t>(offset), static_cast<std::size_t>(bytes)));
    }
  }
  if (has_places && table <= file.size()) {
    const std::size_t shared = footer - 2 * place_bytes;
    const std::size_t tuned = footer - place_bytes;
    const auto end = static_cast<std::size_t>(table);
    if (const auto bytes = static_cast<std::size_t>(number(file, shared));
        end >= cache::pack_format::head_bytes && bytes <= end - cache::pack_format::head_bytes) {
      set_number(file, shared + 16, XXH3_64bits(file.data() + cache::pack_format::head_bytes, bytes));
    }
    if (const auto bytes = static_cast<std::size_t>(number(file, tuned)); bytes <= end) {
      set_number(file, tuned + 16, XXH3_64bits(file.data() + end - bytes, bytes));
    }
  }
  const std::string covered =
      head.bytes() + file.substr(static_cast<std::size_t>(std::min<std::uint64_t>(table, file.size())));
  return file + checksum_of(covered);
}

/// A pack of one of the versions from unsigned_pack_version on.
std::string sample_input(std::uint32_t version) {
  std::string file;
  cache::PackWriter writer([&](std::string_view bytes) { file += bytes; }, "what both have in common",
                           {version == cache::pack_version ? detailed_record(1) : sample_record(1),
                            version == cache::unsigned_pack_version ? sample_record(2) : signed_record(2)});
  writer.add({1, 1}, sample_entry("a"));
  writer.add({2, 1}, sample_entry("b"));
  writer.finish();
  return static_cast<char>(version - cache::first_pack_version) +
         file.substr(cache::pack_format::head_bytes, file.size() - cache::pack_format::head_bytes -
                                                         cache::pack_format::footer_bytes + offsets_bytes);
}

}  // namespace

extern "C" {

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  constexpr std::uint32_t versions = cache::pack_version - cache::first_pack_version + 1;
  const std::string file = pack_of(
      input.substr(input.empty() ? 0 : 1),
      cache::first_pack_version + (input.empty() ? 0 : static_cast<std::uint8_t>(input[0]) % versions));
  const int descriptor = memfd_create("pack", MFD_CLOEXEC);
  if (descriptor < 0 || write(descriptor, file.data(), file.size()) != static_cast<ssize_t>(file.size())) {
    std::abort();
  }
  std::string defect;
  const auto pack =
      cache::Pack::open("/proc/self/fd/" + std::to_string(descriptor), cache::Trust::everyone, defect);
  close(descriptor);
  if ((pack != nullptr) != defect.empty()) {
    std::abort();
  }
  for (std::size_t i = 0; pack != nullptr && i < pack->size(); ++i) {
    const cache::LayerAnswer answer = pack->read(i);
    if (answer.entry.has_value() == !answer.defect.empty()) {
      std::abort();
    }
    if (answer.entry && !pack->find(pack->key(i)).entry) {
      std::abort();
    }
  }
  if (pack != nullptr) {
    std::string unsound;
    if (const auto records = pack->tuned(unsound); !records.empty() && !unsound.empty()) {
      std::abort();
    }
  }
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return mutate_from(size < 2 ? sample_input(cache::unsigned_pack_version + seed % 3) : std::string(), data,
                     size, most);
}

}  // extern "C"
