#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kerncast/op.hpp"
#include "kerncast/op_identity.hpp"

namespace kerncast {

class KernelEvents;

/// The key of a hot look-up: small, trivially copyable, hashed as bytes. It knows the op by its content, so
/// that it outlives the definition.
struct HotKey {
  OpFingerprint op;
  std::int32_t device = 0;
  std::int32_t bucket = 0;
  Specialisation spec;

  [[nodiscard]] bool operator==(const HotKey&) const noexcept = default;
};

/// A kernel ready to launch. It lives as long as its table and refers to nothing of the definition, which the
/// host may free.
struct HotEntry {
  HotKey key;
  std::uint64_t hash = 0;
  std::string kernel;  ///< "norm.rms_norm [hidden=7168]", for errors
  /// CUfunctions of the op's stages in the device's primary context; null past the last.
  std::array<void*, max_stages> functions{};
  Tunables tunables;
  DeviceTraits traits;
  std::string spec;  ///< "hidden=7168", for events
  std::string arch;
  /// Hears of launches; null if nobody does.
  const KernelEvents* launch_events = nullptr;
  /// True if the blocks may start while the kernel before it in the stream still runs.
  bool starts_early = false;
};

/// Open-addressing table that is read without a lock. Readers load one pointer and probe. Writers never
/// change what readers hold, and an outgrown array is freed only with the table.
class HotTable {
 public:
  HotTable();
  ~HotTable();
  HotTable(const HotTable&) = delete;
  HotTable& operator=(const HotTable&) = delete;

  [[nodiscard]] static std::uint64_t hash(const HotKey& key) noexcept;
  /// Null if `key` is absent. No lock, no allocation.
  [[nodiscard]] const HotEntry* find(const HotKey& key, std::uint64_t hash) const noexcept;
  /// Returns the entry now in the table: `entry`, or the one that another thread inserted first.
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
