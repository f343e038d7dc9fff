#include "runtime/simulator/driver/module/lz4_block.hpp"

#include <cstring>
#include <optional>

namespace kerncast::simulator::api {
namespace {

/// The bytes of a block, read from front to back.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  std::optional<unsigned int> byte() {
    if (bytes_.empty()) {
      return std::nullopt;
    }
    const auto value = static_cast<unsigned char>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }

  /// A length whose first four bits were `nibble`: 15 says that bytes follow, up to one below 255.
  std::optional<std::size_t> length(unsigned int nibble) {
    std::size_t sum = nibble;
    if (nibble == 15) {
      std::optional<unsigned int> more;
      do {
        more = byte();
        if (!more) {
          return std::nullopt;
        }
        sum += *more;
      } while (*more == 255);
    }
    return sum;
  }

  std::optional<std::string_view> take(std::size_t count) {
    if (count > bytes_.size()) {
      return std::nullopt;
    }
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }

 private:
  std::string_view bytes_;
};

/// Appends `length` bytes that stand `distance` before the end of what is written. They may overlap it.
bool repeat(std::string& out, std::size_t& written, std::size_t distance, std::size_t length) {
  if (distance == 0 || distance > written || length > out.size() - written) {
    return false;
  }
  for (std::size_t i = 0; i < length; ++i, ++written) {
    out[written] = out[written - distance];
  }
  return true;
}

}  // namespace

bool unpack_lz4_block(std::string_view packed, std::string& out) {
  constexpr std::size_t shortest_match = 4;
  Reader reader(packed);
  std::size_t written = 0;
  while (const std::optional<unsigned int> token = reader.byte()) {
    const std::optional<std::size_t> count = reader.length(*token >> 4);
    const std::optional<std::string_view> literals = count ? reader.take(*count) : std::nullopt;
    if (!literals || literals->size() > out.size() - written) {
      return false;
    }
    std::memcpy(out.data() + written, literals->data(), literals->size());
    written += literals->size();
    if (reader.at_end()) {
      break;  // the last sequence has no match
    }
    const std::optional<unsigned int> low = reader.byte();
    const std::optional<unsigned int> high = reader.byte();
    const std::optional<std::size_t> length = reader.length(*token & 15);
    if (!low || !high || !length || !repeat(out, written, *low | *high << 8, *length + shortest_match)) {
      return false;
    }
  }
  return written == out.size();
}

}  // namespace kerncast::simulator::api
