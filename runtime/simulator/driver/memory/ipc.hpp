#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "runtime/simulator/driver/abi/symbols.hpp"

namespace kerncast::simulator::api {

/// Pages that processes share: a file without a name, which others open through the process that has it.
class SharedPages {
 public:
  /// New pages of at least `bytes`, zero. Throws Failure(CUDA_ERROR_OPERATING_SYSTEM).
  explicit SharedPages(std::size_t bytes);
  /// The pages that process `owner` has open as `descriptor`. Throws Failure(CUDA_ERROR_INVALID_VALUE) if it
  /// has closed them.
  SharedPages(int owner, int descriptor, std::size_t bytes);
  ~SharedPages();
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;

  /// Maps the pages, at `place` if that is not null. Throws Failure(CUDA_ERROR_OPERATING_SYSTEM).
  std::byte* map(std::byte* place = nullptr) const;
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Size in bytes, in whole pages.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  int descriptor_ = -1;
  std::size_t bytes_ = 0;
};

/// An event of several processes: how many recordings were begun and which was passed last.
class SharedEvent {
 public:
  /// Makes a new event.
  SharedEvent();
  /// Opens the event of another process.
  SharedEvent(int owner, int descriptor);
  ~SharedEvent();
  SharedEvent(const SharedEvent&) = delete;
  SharedEvent& operator=(const SharedEvent&) = delete;

  /// Begins a recording and returns its number.
  std::uint64_t begin();
  /// Marks a recording as passed: its stream has reached it.
  void pass(std::uint64_t recording);
  /// The latest recording; 0 if there is none.
  [[nodiscard]] std::uint64_t latest() const;
  [[nodiscard]] bool passed(std::uint64_t recording) const;
  [[nodiscard]] int descriptor() const { return pages_.descriptor(); }

 private:
  struct Counters {
    std::atomic<std::uint64_t> begun;
    std::atomic<std::uint64_t> passed;
  };
  SharedPages pages_;
  Counters* counters_;
};

/// Undoes what sharing did to the pages of an allocation that is about to be freed.
void take_back_pages(std::byte* base, const SharedPages& pages);

}  // namespace kerncast::simulator::api
