#include "tools/warm/warm_store.hpp"

#include <fmt/format.h>

#include <optional>

#include "cache/cache.hpp"
#include "runtime/dispatch/runtime_impl.hpp"

namespace kerncast::tools {

std::string WarmStore::defect() const {
  cache::Cache& cache = implementation_of(runtime_).cache;
  return cache.uploads() ? std::string() : cache.store().defect();
}

std::string WarmStore::loss(const KernelReport& report) const {
  cache::Cache& cache = implementation_of(runtime_).cache;
  const std::optional<cache::Key> key = cache::Key::from_hex(report.key);
  if (key && cache.outlives_process(*key, layers_)) {
    return {};
  }
  if (const std::string failure = cache.store().last_failure(); !failure.empty()) {
    return failure;
  }
  if (const std::string defect = cache.store().defect(); !defect.empty()) {
    return defect;
  }
  return fmt::format(
      "the cache directory {} does not hold the kernel any more: its budget (KERNCAST_CACHE_MAX_BYTES, "
      "KERNCAST_CACHE_MAX_ENTRIES) is too small for this plan, or another process removed it",
      cache.store().root());
}

bool WarmStore::evicted() const {
  return runtime_.cache_counters().evicted > 0;
}

}  // namespace kerncast::tools
