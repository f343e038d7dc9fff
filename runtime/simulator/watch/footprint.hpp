#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

namespace kerncast::simulator {

/// The sectors of global memory, 32 bytes each, that a launch read and wrote. Not thread-safe.
class Footprint {
 public:
  /// The sectors of one page of 64, a bit each.
  struct Page {
    std::uint64_t read = 0;
    std::uint64_t written = 0;
  };
  static constexpr std::uint64_t sector_bytes = 32;
  static constexpr std::uint64_t page_sectors = 64;

  Footprint() = default;
  Footprint(const Footprint&) = delete;
  Footprint& operator=(const Footprint&) = delete;

  /// Adds the sectors from `first` to `last`, by their number from address 0.
  void add(std::uint64_t first, std::uint64_t last, bool read, bool written);
  void add(const Footprint& other);
  /// Pages by their number from address 0.
  [[nodiscard]] const std::unordered_map<std::uint64_t, Page>& pages() const { return pages_; }

 private:
  Page& page(std::uint64_t number);

  struct Recent {
    std::uint64_t number = ~std::uint64_t{0};
    Page* page = nullptr;
  };
  std::unordered_map<std::uint64_t, Page> pages_;
  std::array<Recent, 16> recent_;  ///< by the low bits of the number
};

}  // namespace kerncast::simulator
