#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cache/cache.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/device_state.hpp"
#include "runtime/dispatch/hot_table.hpp"
#include "runtime/dispatch/kernel_builder.hpp"
#include "runtime/dispatch/request_log.hpp"
#include "runtime/dispatch/tunables_chooser.hpp"
#include "runtime/driver/driver_api.hpp"

namespace kerncast {

/// What a Runtime is made of. The driver and the compiler load on first use, so that tools which need neither
/// work where they are missing.
struct Runtime::Parts {
  explicit Parts(RuntimeOptions given);

  /// Throws Error(not_found) with the candidates tried where there is no driver.
  const driver::Driver& driver();
  DeviceState& device(int ordinal);

  /// The miss path: from a hot key to an entry in the table. Fills `report` unless null.
  const HotEntry& resolve(const OpDefinition& op, const HotKey& key, std::int64_t rows, Stream stream,
                          KernelReport* report);
  /// The same with the tunables that the caller gives, beside the table.
  const HotEntry& resolve_given(const OpDefinition& op, const HotKey& key, std::int64_t rows, Stream stream,
                                const Tunables& given, KernelReport* report);

  RuntimeOptions options;
  cache::Cache cache;
  KernelBuilder builder;
  TunablesChooser chooser;
  HotTable hot;
  RequestLog requests;
  MissPolicy policy;

  /// Set once the driver is loaded; what the hot path launches through.
  std::atomic<const driver::DriverApi*> api{nullptr};

 private:
  [[nodiscard]] HotEntry make_entry(const OpDefinition& op, const HotKey& key, std::int64_t rows,
                                    Stream stream, const std::optional<Tunables>& given,
                                    KernelReport* report);
  /// The kernel of `variant` in memory, and whether it was there before. Never compiles while `capturing`.
  std::pair<LoadedKernel, bool> obtain(DeviceState& state, const Variant& variant, std::int64_t rows,
                                       bool capturing);

  std::mutex mutex_;
  std::shared_ptr<const driver::Driver> driver_;
  std::vector<std::unique_ptr<DeviceState>> devices_;
  std::mutex loaded_mutex_;  ///< held while a module loads, so that no kernel is loaded twice
  std::map<std::string, LoadedKernel> loaded_;  ///< by device, op, specialisation and tunables
  std::mutex given_mutex_;
  std::map<std::string, std::unique_ptr<HotEntry>> given_;  ///< as loaded_, with the row bucket
};

}  // namespace kerncast
