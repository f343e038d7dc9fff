#include "runtime/simulator/machine/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "runtime/simulator/machine/written_map.hpp"

namespace kerncast::simulator {

namespace {

constexpr std::size_t allocation_alignment = 512;
constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = std::size_t{2} << 20;
/// Allocations of this size and above get pages of their own, with an inaccessible page on either side.
constexpr std::size_t mapped_from = std::size_t{1} << 20;
/// The contents of a fresh small allocation: NaN as any float, -1 as any integer, so that a read of memory
/// that nobody wrote shows up. Large allocations hold the zeros of fresh pages, since touching them all would
/// be slow.
constexpr int poison = 0xff;
/// Freed allocations that messages can still name.
constexpr std::size_t freed_kept = 1024;

std::size_t round_up(std::size_t size, std::size_t to) {
  return (size + to - 1) / to * to;
}

}  // namespace

struct Memory::State {
  struct Block {
    Allocation allocation;
    std::byte* raw = nullptr;
    std::size_t raw_size = 0;
    bool mapped = false;
    std::unique_ptr<WrittenMap> written;
    bool foreign = false;
  };
  mutable std::shared_mutex mutex;
  std::map<std::uintptr_t, Block> blocks;
  std::map<int, std::size_t> bytes;
  std::atomic<std::uint64_t> generation{1};
  std::deque<Allocation> freed;
  std::mutex heap_mutex;
  std::map<const std::byte*, std::size_t> heap;  ///< live memory of the heap and its size
  std::vector<const std::byte*> heap_garbage;
  std::size_t heap_bytes = 0;
  std::size_t launches = 0;  ///< that run; guarded by heap_mutex
  std::uint64_t next_id = 1;

  /// Bytes of its device's memory that a block takes.
  static std::size_t device_bytes(const Block& block) {
    return !block.foreign && block.allocation.kind == MemoryKind::device ? block.allocation.size : 0;
  }

  void add(Block block) {
    const std::unique_lock lock(mutex);
    block.allocation.id = next_id++;
    bytes[block.allocation.device] += device_bytes(block);
    blocks.emplace(reinterpret_cast<std::uintptr_t>(block.allocation.base), std::move(block));
    generation.fetch_add(1, std::memory_order_release);
  }

  static void give_back(const Block& block) {
    if (block.foreign) {
      return;
    }
    if (block.mapped) {
      munmap(block.raw, block.raw_size);
    } else {
      std::free(block.raw);
    }
  }
};

Memory::Memory() : state_(std::make_unique<State>()) {}

Memory::~Memory() {
  for (const auto& [address, block] : state_->blocks) {
    State::give_back(block);
  }
}

std::byte* Memory::allocate(std::size_t size, MemoryKind kind, int device) {
  if (size == 0 || size > (std::size_t{1} << 46)) {
    return nullptr;
  }
  State::Block block;
  std::byte* base = nullptr;
  if (size >= mapped_from) {
    // Huge pages spare the executor's scattered reads most of their TLB misses.
    const std::size_t body = round_up(size, page);
    block.raw_size = body + huge_page + 2 * page;
    void* raw = mmap(nullptr, block.raw_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) {
      return nullptr;
    }
    block.raw = static_cast<std::byte*>(raw);
    block.mapped = true;
    const auto start = reinterpret_cast<std::uintptr_t>(block.raw) + page;
    base = block.raw + (round_up(start, huge_page) - reinterpret_cast<std::uintptr_t>(block.raw));
    if (mprotect(base, body, PROT_READ | PROT_WRITE) != 0) {
      munmap(raw, block.raw_size);
      return nullptr;
    }
    (void)madvise(base, body, MADV_HUGEPAGE);
  } else {
    // Device memory has pages of its own, so that they can be shared with another process.
    const bool device_memory = kind == MemoryKind::device;
    const std::size_t alignment = device_memory ? page : allocation_alignment;
    const std::size_t before = device_memory ? 0 : allocation_alignment;
    block.raw_size = before + round_up(size, alignment) + allocation_alignment;
    // aligned_alloc would require a size that is a multiple of the alignment.
    void* raw = nullptr;
    if (posix_memalign(&raw, alignment, block.raw_size) != 0) {
      return nullptr;
    }
    block.raw = static_cast<std::byte*>(raw);
    base = block.raw + before;
    std::memset(block.raw, poison, block.raw_size);
  }
  if (kind == MemoryKind::device) {
    try {
      block.written = std::make_unique<WrittenMap>(size);
    } catch (const std::bad_alloc&) {
      State::give_back(block);
      return nullptr;
    }
  }
  block.allocation.base = base;
  block.allocation.size = size;
  block.allocation.kind = kind;
  block.allocation.device = device;
  block.allocation.written = block.written.get();
  state_->add(std::move(block));
  return base;
}

bool Memory::adopt(std::byte* base, std::size_t size, MemoryKind kind, int device) {
  const std::optional<Allocation> below = nearest_below(base + size - 1);
  if (below && below->base + below->size > base) {
    return false;
  }
  State::Block block;
  block.foreign = true;
  block.allocation.base = base;
  block.allocation.size = size;
  block.allocation.kind = kind;
  block.allocation.device = device;
  state_->add(std::move(block));
  return true;
}

void Memory::set_peers(const std::byte* base, std::uint64_t peers, bool pooled) {
  const std::unique_lock lock(state_->mutex);
  const auto found = state_->blocks.find(reinterpret_cast<std::uintptr_t>(base));
  if (found != state_->blocks.end()) {
    found->second.allocation.peers = peers;
    found->second.allocation.pooled = pooled;
    state_->generation.fetch_add(1, std::memory_order_release);
  }
}

bool Memory::release(const std::byte* base) {
  State::Block block;
  {
    const std::unique_lock lock(state_->mutex);
    const auto found = state_->blocks.find(reinterpret_cast<std::uintptr_t>(base));
    if (found == state_->blocks.end()) {
      return false;
    }
    block = std::move(found->second);
    state_->blocks.erase(found);
    state_->freed.push_front(block.allocation);
    state_->freed.front().written = nullptr;
    if (state_->freed.size() > freed_kept) {
      state_->freed.pop_back();
    }
    state_->bytes[block.allocation.device] -= State::device_bytes(block);
    state_->generation.fetch_add(1, std::memory_order_release);
  }
  State::give_back(block);
  return true;
}

std::optional<Allocation> Memory::nearest_below(const void* address) const {
  const std::shared_lock lock(state_->mutex);
  auto above = state_->blocks.upper_bound(reinterpret_cast<std::uintptr_t>(address));
  if (above == state_->blocks.begin()) {
    return std::nullopt;
  }
  return std::prev(above)->second.allocation;
}

std::optional<Allocation> Memory::find(const void* address) const {
  std::optional<Allocation> below = nearest_below(address);
  if (below && reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(below->base) >=
                   below->size) {
    below.reset();
  }
  return below;
}

std::optional<Allocation> Memory::find_freed(const void* address) const {
  const std::shared_lock lock(state_->mutex);
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const Allocation& gone : state_->freed) {
    if (at - reinterpret_cast<std::uintptr_t>(gone.base) < gone.size) {
      return gone;
    }
  }
  return std::nullopt;
}

std::byte* Memory::heap_allocate(std::size_t size, std::size_t limit, int device) {
  const std::lock_guard lock(state_->heap_mutex);
  if (size == 0 || size > limit || state_->heap_bytes > limit - size) {
    return nullptr;
  }
  std::byte* base = allocate(size, MemoryKind::device, device);
  if (base != nullptr) {
    state_->heap[base] = size;
    state_->heap_bytes += size;
  }
  return base;
}

bool Memory::heap_free(const std::byte* base) {
  const std::lock_guard lock(state_->heap_mutex);
  const auto found = state_->heap.find(base);
  if (found == state_->heap.end()) {
    return false;
  }
  state_->heap_bytes -= found->second;
  state_->heap.erase(found);
  state_->heap_garbage.push_back(base);
  return true;
}

void Memory::launch_begins() {
  const std::lock_guard lock(state_->heap_mutex);
  ++state_->launches;
}

void Memory::launch_ends() {
  const std::lock_guard lock(state_->heap_mutex);
  if (--state_->launches != 0) {
    return;
  }
  for (const std::byte* base : std::exchange(state_->heap_garbage, {})) {
    release(base);
  }
}

void Memory::mark_written(const void* address, std::size_t bytes) {
  // The map lives as long as the allocation, which the caller keeps from being freed.
  if (const std::optional<Allocation> found = find(address); found && found->written != nullptr) {
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(address) - found->base);
    found->written->mark(offset, std::min(bytes, found->size - offset));
  }
}

std::size_t Memory::bytes_in_use(int device) const {
  const std::shared_lock lock(state_->mutex);
  const auto found = state_->bytes.find(device);
  return found == state_->bytes.end() ? 0 : found->second;
}

std::uint64_t Memory::generation() const {
  return state_->generation.load(std::memory_order_acquire);
}

}  // namespace kerncast::simulator
