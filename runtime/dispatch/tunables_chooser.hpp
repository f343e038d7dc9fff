#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/cache.hpp"
#include "cache/posix/warn_once.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/kernel_builder.hpp"

namespace kerncast {

/// The launch for which tunables are chosen.
struct TunablesRequest {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  std::string arch;
  DeviceTraits traits;
  std::string device;  ///< the device's name; empty if no device is at hand
  std::int64_t rows = 1;
};

/// Tunables and where they come from.
struct TunablesChoice {
  Tunables tunables;
  TunablesOrigin origin = TunablesOrigin::defaults;
  std::string record;  ///< the tuned record in words; empty unless tuned
};

/// Chooses between the tunables that a caller gives, those in the tuning stores, and the op's own defaults.
/// Thread-safe.
class TunablesChooser {
 public:
  TunablesChooser(cache::Cache& cache, KernelBuilder& builder, cache::WarningSink warn);

  /// Tunables in `given` win; Error(invalid_argument) is thrown if the op does not accept them. A tuned
  /// record that is stale or that the op does not accept is skipped with one warning.
  [[nodiscard]] TunablesChoice choose(const TunablesRequest& request, const std::optional<Tunables>& given);
  [[nodiscard]] TunablesChoice defaults(const TunablesRequest& request) const;
  /// Warns once that the tuned `choice` is not used after all, for the reason `why`.
  void passed_over(const TunablesRequest& request, const TunablesChoice& choice, std::string_view why);

 private:
  cache::Cache& cache_;
  KernelBuilder& builder_;
  cache::WarnOnce warnings_;
};

}  // namespace kerncast
