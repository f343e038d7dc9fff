#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kerncast/op.hpp"

namespace kerncast {

/// What a hot look-up compares: small, trivially copyable, hashed as bytes.
struct HotKey {
  const OpDefinition* op = nullptr;
  std::int32_t device = 0;
  std::int32_t bucket = 0;
  Specialisation spec;

  [[nodiscard]] bool operator==(const HotKey&) const noexcept = default;
};

/// A kernel ready to launch. Never freed before its table.
struct HotEntry {
  HotKey key;
  std::uint64_t hash = 0;
  /// CUfunctions of the op's stages in the device's primary context; null past the last.
  std::array<void*, OpDefinition::max_stages> functions{};
  Tunables tunables;
  DeviceTraits traits;
};

/// Open-addressing table read without a lock: readers load one pointer and probe; writers copy nothing that
/// readers hold, and retire grown arrays only with the table.
class HotTable {
 public:
  HotTable();
  ~HotTable();
  HotTable(const HotTable&) = delete;
  HotTable& operator=(const HotTable&) = delete;

  [[nodiscard]] static std::uint64_t hash(const HotKey& key) noexcept;
  /// Null when absent. No lock, no allocation.
  [[nodiscard]] const HotEntry* find(const HotKey& key, std::uint64_t hash) const noexcept;
  /// The entry now in the table: `entry`, or the one another thread put there first.
  const HotEntry* insert(HotEntry entry);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Slots;
  void grow();

  std::atomic<const Slots*> slots_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Slots>> generations_;
  std::vector<std::unique_ptr<HotEntry>> entries_;
};

}  // namespace kerncast
