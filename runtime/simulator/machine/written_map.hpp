#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace kerncast::simulator {

/// The bytes of an allocation that were ever written. A page of the allocation costs a word while all or none
/// of it was written, which is nearly always, and 520 bytes in between. Thread-safe.
class WrittenMap {
 public:
  explicit WrittenMap(std::size_t size);
  ~WrittenMap();
  WrittenMap(const WrittenMap&) = delete;
  WrittenMap& operator=(const WrittenMap&) = delete;

  static constexpr std::size_t npos = ~std::size_t{0};

  /// Bytes [offset, offset + bytes) of the allocation were written.
  void mark(std::size_t offset, std::size_t bytes);
  /// The first byte of [offset, offset + bytes) that nobody wrote, or npos.
  [[nodiscard]] std::size_t first_unwritten(std::size_t offset, std::size_t bytes) const;

 private:
  struct Partial;
  using Page = std::atomic<std::uintptr_t>;  ///< none, all, or the address of a Partial; bit 0 locks it

  static std::uintptr_t acquire(Page& page);
  void mark_page(std::size_t index, std::size_t first, std::size_t last);
  [[nodiscard]] std::size_t first_unwritten_of_page(std::size_t index, std::size_t first,
                                                    std::size_t last) const;

  struct Free {
    void operator()(Page* pages) const;
  };
  std::unique_ptr<Page[], Free> pages_;
  std::size_t size_;
  std::size_t count_;
};

}  // namespace kerncast::simulator
