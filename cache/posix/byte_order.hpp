#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace kerncast::cache {

/// Appends little-endian integers, and texts with their length before them.
class Writer {
 public:
  template <class Integer>
  void integer(Integer value) {
    auto bits = static_cast<std::uint64_t>(value);
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
      out_.push_back(static_cast<char>(bits & 0xff));
      bits >>= 8;
    }
  }
  void raw(std::string_view bytes) { out_.append(bytes); }
  void text(std::string_view bytes) {
    integer(static_cast<std::uint64_t>(bytes.size()));
    raw(bytes);
  }
  [[nodiscard]] const std::string& bytes() const { return out_; }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads what Writer wrote, and never past the end. After a failure all further reads give 0 or an empty
/// text, and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class Integer>
  Integer integer() {
    if (bytes_.size() < sizeof(Integer)) {
      ok_ = false;
      bytes_ = {};
      return 0;
    }
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
      value |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
    }
    bytes_.remove_prefix(sizeof(Integer));
    return static_cast<Integer>(value);
  }
  std::string text() {
    const auto length = integer<std::uint64_t>();
    if (length > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    std::string out(bytes_.substr(0, static_cast<std::size_t>(length)));
    bytes_.remove_prefix(static_cast<std::size_t>(length));
    return out;
  }
  /// Fills `to`; with zeros after a failure.
  template <std::size_t size>
  void raw(std::array<char, size>& to) {
    ok_ = ok_ && size <= bytes_.size();
    bytes_ = ok_ ? bytes_ : std::string_view();
    for (std::size_t i = 0; i < size; ++i) {
      to[i] = ok_ ? bytes_[i] : '\0';
    }
    bytes_.remove_prefix(ok_ ? size : 0);
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool done() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace kerncast::cache
