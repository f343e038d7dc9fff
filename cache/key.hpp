#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast::cache {

/// The 128-bit content hash that names an entry.
struct Key {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  /// 32 lower-case hex digits.
  [[nodiscard]] std::string hex() const;
  /// The key that `text` spells. Empty unless `text` is 32 lower-case hex digits.
  [[nodiscard]] static std::optional<Key> from_hex(std::string_view text);
  [[nodiscard]] auto operator<=>(const Key&) const noexcept = default;
};

/// Labels and values, in order.
using KeyFieldList = std::vector<std::pair<std::string, std::string>>;

/// XXH3-128 over the schema of KeyFields and the labels and values of `fields`. The key fields that an entry
/// holds give the key that the entry stands for.
[[nodiscard]] Key key_of_fields(const KeyFieldList& fields);

/// The labelled fields that a key is computed from, in order. Each label and value is hashed with its length
/// before it, so that two different lists never give the same bytes to the hash. A value that differs between
/// machines for the same kernel (a path, a time, a user name) must not be a field.
class KeyFields {
 public:
  /// Must change whenever the meaning of entries changes, so that no older entry is found any more.
  static constexpr std::string_view schema = "kerncast-key-1";

  void add(std::string label, std::string value) { fields_.emplace_back(std::move(label), std::move(value)); }
  /// Replaces the value of the last field called `label`. A field of that name must exist.
  void set(std::string_view label, std::string value);
  [[nodiscard]] const KeyFieldList& fields() const { return fields_; }
  [[nodiscard]] Key key() const { return key_of_fields(fields_); }

 private:
  KeyFieldList fields_;
};

struct KeyHash {
  [[nodiscard]] std::size_t operator()(const Key& key) const noexcept {
    return static_cast<std::size_t>(key.high ^ key.low);
  }
};

}  // namespace kerncast::cache
