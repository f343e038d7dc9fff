#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

  /// Tunables in `given` win; Error(invalid_argument) is thrown if the op does not accept them. Then comes
  /// the best record of the tuning stores, as TunedTable::find() orders them for the row bucket. One that is
  /// stale or that the op does not accept is skipped with one warning. The choice depends on the records, the
  /// op, the device and the row bucket, and not on the launch that asks first.
  [[nodiscard]] TunablesChoice choose(const TunablesRequest& request, const std::optional<Tunables>& given);
  [[nodiscard]] TunablesChoice defaults(const TunablesRequest& request) const;
  /// All tunables that choose() can give without `given`, on devices of the request's architecture and traits
  /// whatever their names are, each once: first those for the request's own device, last the defaults.
  [[nodiscard]] std::vector<Tunables> choices(const TunablesRequest& request);
  /// Warns once that the tuned `choice` is not used after all, for the reason `why`.
  void passed_over(const TunablesRequest& request, const TunablesChoice& choice, std::string_view why);

 private:
  /// The choice among tuned records if the device is called `device`. Empty if none can be used.
  [[nodiscard]] std::optional<TunablesChoice> choose_tuned(const TunablesRequest& request,
                                                           const std::string& device);
  void ignore(const TunablesRequest& request, const std::string& record, std::string_view why);

  cache::Cache& cache_;
  KernelBuilder& builder_;
  cache::WarnOnce warnings_;
};

}  // namespace kerncast
