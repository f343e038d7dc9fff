#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/device_state.hpp"
#include "runtime/dispatch/hot_table.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/dispatch/observe/kernel_events.hpp"
#include "runtime/dispatch/observe/metrics_file.hpp"
#include "runtime/dispatch/observe/request_recorder.hpp"
#include "runtime/dispatch/tunables/tunables_chooser.hpp"
#include "runtime/driver/driver_api.hpp"

namespace kerncast {

/// The parts of a Runtime. The driver and the compiler are loaded on first use, so that commands which need
/// neither work on machines without them. The shared library does not offer them, although Runtime is
/// offered.
struct __attribute__((visibility("hidden"))) Runtime::Impl {
  explicit Impl(RuntimeOptions given);

  /// A call that needs more than what is in memory, for as long as the object lives. The constructor throws
  /// Error(unsupported) in a child that was forked after the Runtime had been used: such a call would wait
  /// for locks and threads that the child does not have.
  class Use {
   public:
    explicit Use(Impl& impl);
    ~Use() { impl_.uses_.fetch_sub(1, std::memory_order_release); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Impl& impl_;
  };
  /// True if nothing of this object may be destroyed: its threads and locks belong to the parent that this
  /// process was forked from, or other threads are inside a call, as at the end of a process that did not
  /// wait for them.
  [[nodiscard]] bool must_stay() const;

  /// Throws Error(not_found) with the candidates that were tried if there is no driver.
  const driver::Driver& driver();
  DeviceState& device(int ordinal);

  /// The miss path: from a hot key to an entry in the table. Fills `report` unless null.
  const HotEntry& resolve(const OpDefinition& op, const HotKey& key, std::int64_t rows, Stream stream,
                          KernelReport* report);
  /// Resolves with tunables that the caller gives. These entries are kept beside the table, since the table's
  /// key does not hold tunables.
  const HotEntry& resolve_given(const OpDefinition& op, const HotKey& key, std::int64_t rows, Stream stream,
                                const Tunables& given, KernelReport* report);

  RuntimeOptions options;
  KernelEvents events;
  cache::Cache cache;
  KernelBuilder builder;
  TunablesChooser chooser;
  HotTable hot;
  RequestRecorder requests;
  MetricsFile metrics;
  const MissPolicy policy;
  const bool programmatic;
  std::atomic<bool> sealed{false};

  /// Says why a kernel that the cache lacks is not compiled now; empty if it is.
  [[nodiscard]] std::string_view no_compile_reason(bool capturing) const;

  /// True if the kernels of `op` are launched so that their blocks may start while the kernel before them in
  /// the stream still runs: see RuntimeOptions::programmatic_launch.
  [[nodiscard]] bool starts_early(const OpDefinition& op, const DeviceTraits& traits) const;
  /// True of every op of the library on such a device.
  [[nodiscard]] bool starts_early(const DeviceTraits& traits) const;

  /// The functions that the hot path launches through. Set when the driver is loaded.
  std::atomic<const driver::DriverApi*> api{nullptr};

 private:
  [[nodiscard]] HotEntry make_entry(const OpDefinition& op, const HotKey& key, std::int64_t rows,
                                    Stream stream, const std::optional<Tunables>& given,
                                    KernelReport* report);
  /// Returns the kernel of `variant` in memory, and whether it was there before. Never compiles while
  /// `capturing`.
  std::pair<LoadedKernel, bool> load_or_compile(DeviceState& state, const Variant& variant, std::int64_t rows,
                                                bool capturing);

  /// Loads `binary` unless the kernel is in memory, and says if it was.
  std::pair<LoadedKernel, bool> load_once(const std::string& identity, DeviceState& state,
                                          const Variant& variant,
                                          const std::shared_ptr<const KernelBinary>& binary);

  [[nodiscard]] bool forked_since_use() const;

  static constexpr std::int64_t never = -1;
  std::atomic<std::int64_t> used_at_{never};  ///< fork_count() at the first use
  std::atomic<int> uses_{0};
  std::mutex mutex_;
  std::shared_ptr<const driver::Driver> driver_;
  std::vector<std::unique_ptr<DeviceState>> devices_;
  std::mutex loaded_mutex_;  ///< held while a module loads, so that no kernel is loaded twice
  /// By device, fingerprint of the op, specialisation and tunables.
  std::map<std::string, LoadedKernel> loaded_;
  std::mutex given_mutex_;
  /// Entries with tunables that a caller gave, by the same values and the row bucket.
  std::map<std::string, std::unique_ptr<HotEntry>> given_;
};

/// Opens a Runtime to the library itself.
struct RuntimeAccess {
  [[nodiscard]] static Runtime::Impl& impl(Runtime& runtime) noexcept { return *runtime.impl_; }
};

/// The parts of `runtime`, for the command and the tests of this project.
[[nodiscard]] inline Runtime::Impl& implementation_of(Runtime& runtime) noexcept {
  return RuntimeAccess::impl(runtime);
}

}  // namespace kerncast
