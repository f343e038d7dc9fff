#include "cache/key.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <memory>

namespace kerncast::cache {
namespace {

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

void update(XXH3_state_t* state, std::string_view text) {
  std::array<unsigned char, 8> length{};
  for (std::size_t i = 0; i < length.size(); ++i) {
    length[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(text.size()) >> (8 * i));
  }
  XXH3_128bits_update(state, length.data(), length.size());
  XXH3_128bits_update(state, text.data(), text.size());
}

}  // namespace

std::string Key::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

std::optional<Key> Key::from_hex(std::string_view text) {
  if (text.size() != 32) {
    return std::nullopt;
  }
  std::array<std::uint64_t, 2> halves{};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    std::uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint64_t>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
    halves[i / 16] = halves[i / 16] << 4 | digit;
  }
  return Key{halves[0], halves[1]};
}

void KeyFields::set(std::string_view label, std::string value) {
  const auto field = std::find_if(fields_.rbegin(), fields_.rend(),
                                  [label](const auto& candidate) { return candidate.first == label; });
  assert(field != fields_.rend());
  field->second = std::move(value);
}

Key key_of_fields(const KeyFieldList& fields) {
  const std::unique_ptr<XXH3_state_t, FreeState> state(XXH3_createState());
  XXH3_128bits_reset(state.get());
  update(state.get(), KeyFields::schema);
  for (const auto& [label, value] : fields) {
    update(state.get(), label);
    update(state.get(), value);
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  return {hash.high64, hash.low64};
}

}  // namespace kerncast::cache
