#include "runtime/dispatch/hot_table.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

namespace kerncast {

static_assert(sizeof(HotKey) == sizeof(OpFingerprint) + 2 * sizeof(std::int32_t) + sizeof(Specialisation),
              "padding would make the byte hash unstable");

struct HotTable::Slots {
  explicit Slots(std::size_t capacity) : mask(capacity - 1), cells(capacity) {}
  std::size_t mask;
  std::vector<std::atomic<const HotEntry*>> cells;
};

HotTable::HotTable() {
  generations_.push_back(std::make_unique<Slots>(64));
  slots_.store(generations_.back().get(), std::memory_order_release);
}

HotTable::~HotTable() = default;

std::uint64_t HotTable::hash(const HotKey& key) noexcept {
  return XXH3_64bits(&key, sizeof key);
}

const HotEntry* HotTable::find(const HotKey& key, std::uint64_t hash) const noexcept {
  const Slots* slots = slots_.load(std::memory_order_acquire);
  for (std::size_t at = hash & slots->mask;; at = (at + 1) & slots->mask) {
    const HotEntry* entry = slots->cells[at].load(std::memory_order_acquire);
    if (entry == nullptr || (entry->hash == hash && entry->key == key)) {
      return entry;
    }
  }
}

const HotEntry* HotTable::insert(HotEntry entry) {
  entry.hash = hash(entry.key);
  const std::lock_guard lock(mutex_);
  if (const HotEntry* present = find(entry.key, entry.hash)) {
    return present;
  }
  entries_.push_back(std::make_unique<HotEntry>(std::move(entry)));
  const HotEntry* inserted = entries_.back().get();
  if (entries_.size() * 2 > generations_.back()->cells.size()) {
    grow();
  } else {
    Slots& slots = *generations_.back();
    std::size_t at = inserted->hash & slots.mask;
    while (slots.cells[at].load(std::memory_order_relaxed) != nullptr) {
      at = (at + 1) & slots.mask;
    }
    slots.cells[at].store(inserted, std::memory_order_release);
  }
  return inserted;
}

void HotTable::grow() {
  auto slots = std::make_unique<Slots>(generations_.back()->cells.size() * 2);
  for (const auto& entry : entries_) {
    std::size_t at = entry->hash & slots->mask;
    while (slots->cells[at].load(std::memory_order_relaxed) != nullptr) {
      at = (at + 1) & slots->mask;
    }
    slots->cells[at].store(entry.get(), std::memory_order_relaxed);
  }
  generations_.push_back(std::move(slots));
  slots_.store(generations_.back().get(), std::memory_order_release);
}

std::size_t HotTable::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace kerncast
