#pragma once

#include <memory>
#include <string>

#include "cache/posix/warn_once.hpp"
#include "kerncast/listener.hpp"

namespace kerncast {

/// Marks what happens to kernels as ranges and marks of NVTX, which Nsight Systems shows on the time line of
/// each thread. Compiles, loads and launches are ranges, misses and replacements are marks. NVTX is NVIDIA's
/// library as the loader finds it; without a profiler its functions return at once. Thread-safe.
class NvtxRanges {
 public:
  /// Reads `setting`: "1" marks compiles and loads, "launches" also launches, and an empty text or "0"
  /// nothing, for which the result is null. It is null too, with one warning, if the setting is another one
  /// or if NVTX cannot be loaded.
  [[nodiscard]] static std::unique_ptr<NvtxRanges> from_setting(const std::string& setting,
                                                                const cache::WarningSink& warn);

  [[nodiscard]] bool launches() const { return launches_; }
  /// Begins a range of this thread, which pop() of this thread ends. Never throws.
  void push(const char* name) const noexcept { static_cast<void>(push_(name)); }
  void pop() const noexcept { static_cast<void>(pop_()); }
  /// Marks a miss or a replacement, and begins or ends the range of a compile. Other events are ranges that
  /// their callers push and pop. Never throws.
  void write(const KernelEvent& event) const noexcept;

 private:
  NvtxRanges() = default;

  int (*push_)(const char*) = nullptr;
  int (*pop_)() = nullptr;
  void (*mark_)(const char*) = nullptr;
  bool launches_ = false;
};

/// A range that ends with the object.
class NvtxRange {
 public:
  /// `ranges` may be null; then nothing is marked.
  NvtxRange(const NvtxRanges* ranges, const char* name) : ranges_(ranges) {
    if (ranges_ != nullptr) {
      ranges_->push(name);
    }
  }
  ~NvtxRange() {
    if (ranges_ != nullptr) {
      ranges_->pop();
    }
  }
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;

 private:
  const NvtxRanges* ranges_;
};

}  // namespace kerncast
