#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cache/cache.hpp"
#include "cache/posix/warn_once.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/dispatch/kernel_builder.hpp"

namespace kerncast {

/// What tunables are chosen for.
struct TunablesRequest {
  const OpDefinition* op = nullptr;
  Specialisation spec;
  std::string arch;
  DeviceTraits traits;
  std::string device;  ///< the device's name; empty where there is none
  std::int64_t rows = 1;
};

/// Tunables and where they come from.
struct TunablesChoice {
  Tunables tunables;
  TunablesOrigin origin = TunablesOrigin::defaults;
  std::string record;  ///< the tuned record in words; empty unless tuned
};

/// Decides between the tunables a caller gives, those the tuning stores hold, and the op's own defaults.
/// Thread-safe.
class TunablesChooser {
 public:
  TunablesChooser(cache::Cache& cache, KernelBuilder& builder, cache::WarningSink warn);

  /// `given` ones win; they throw Error(invalid_argument) where the op does not take them. A tuned record
  /// that is stale or that the op does not take is passed over with one warning.
  [[nodiscard]] TunablesChoice choose(const TunablesRequest& request, const std::optional<Tunables>& given);
  [[nodiscard]] TunablesChoice defaults(const TunablesRequest& request) const;
  /// Warns once that the tuned `choice` is not used after all, as `why` says.
  void passed_over(const TunablesRequest& request, const TunablesChoice& choice, std::string_view why);

 private:
  cache::Cache& cache_;
  KernelBuilder& builder_;
  cache::WarnOnce warnings_;
};

}  // namespace kerncast
