#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>

namespace kerncast::simulator {

class WrittenMap;

/// Kinds of memory.
enum class MemoryKind : std::uint8_t { device, pinned_host };

/// One live allocation. `base` is a host address too: the machine executes on host memory.
struct Allocation {
  std::byte* base = nullptr;
  std::size_t size = 0;
  MemoryKind kind = MemoryKind::device;
  int device = 0;
  std::uint64_t id = 0;           ///< unique for the life of the process: cuPointerGetAttribute's BUFFER_ID
  WrittenMap* written = nullptr;  ///< null: not tracked, all of it counts as written
  /// Other devices whose kernels may reach it whatever their context allows, a bit each.
  std::uint64_t peers = 0;
  bool pooled = false;  ///< `peers` alone decides
};

/// The device-visible memory of all virtual devices. Every address a kernel touches must lie in one of its
/// allocations; host memory that was not allocated here is not reachable from a kernel. Thread-safe.
class Memory {
 public:
  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// Allocations of at least this many bytes hold zeros at first, smaller ones a pattern.
  static constexpr std::size_t zeroed_from = std::size_t{1} << 20;

  /// Allocates `size` > 0 bytes, aligned to 512. Unmapped pages or a gap on either side keep allocations from
  /// touching. Null if the host has no memory left.
  std::byte* allocate(std::size_t size, MemoryKind kind, int device);
  /// Makes host memory that was not allocated here an allocation; its owner keeps it. False if it overlaps
  /// another one.
  bool adopt(std::byte* base, std::size_t size, MemoryKind kind, int device);
  /// Sets Allocation's mask of other devices.
  void set_peers(const std::byte* base, std::uint64_t peers, bool pooled);
  /// Frees an allocation. False if `base` is not the start of a live one.
  bool release(const std::byte* base);
  /// The live allocation that holds `address`.
  [[nodiscard]] std::optional<Allocation> find(const void* address) const;
  /// The nearest live allocation below `address`, for messages ("16 bytes past the end of a 4096-byte
  /// allocation").
  [[nodiscard]] std::optional<Allocation> nearest_below(const void* address) const;
  /// The allocation freed last that held `address`, for messages; its memory may be in use again.
  [[nodiscard]] std::optional<Allocation> find_freed(const void* address) const;
  /// Allocates `size` bytes of the heap that kernels use by malloc, of which all devices together may use
  /// `limit`. Null if that is not left.
  std::byte* heap_allocate(std::size_t size, std::size_t limit, int device);
  /// Gives memory of the heap back. It is released once no launch runs, as one may have looked it up. False
  /// if `base` is not live memory of the heap.
  bool heap_free(const std::byte* base);
  /// A launch begins, or ends.
  void launch_begins();
  void launch_ends();
  /// Says that [address, address + bytes), inside one live allocation, was written by other means than a
  /// kernel.
  void mark_written(const void* address, std::size_t bytes);
  /// Bytes of device memory in use; pinned host memory takes none of it.
  [[nodiscard]] std::size_t bytes_in_use(int device) const;
  /// Changes whenever an allocation appears or goes, so that executors may cache look-ups.
  [[nodiscard]] std::uint64_t generation() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kerncast::simulator
