#pragma once

#include <memory>
#include <string>

#include "cache/cache.hpp"
#include "kerncast/runtime.hpp"
#include "runtime/compiler/worker/pool.hpp"

/// The options of a host, completed by the environment, as the parts of a Runtime take them.
namespace kerncast {

/// The host's sink. Warnings come from the middle of a launch, which an exception of the host would end. They
/// hold names of files and words of servers, and a host prints them.
[[nodiscard]] cache::WarningSink warning_sink(const RuntimeOptions& options);

/// Options of the cache.
[[nodiscard]] cache::CacheOptions cache_options(const RuntimeOptions& options);

/// The host's policy for kernels that are not cached, else that of KERNCAST_STRICT.
[[nodiscard]] MissPolicy miss_policy(const RuntimeOptions& options);

/// The host's choice whether kernels may start early, else that of KERNCAST_PDL.
[[nodiscard]] bool programmatic_launch(const RuntimeOptions& options);

/// The processes that compile; null if this process compiles. `store` keeps the sources that fail, and must
/// outlive the pool.
[[nodiscard]] std::unique_ptr<compiler::worker::Pool> worker_pool(const CompileWorkers& workers,
                                                                  const std::string& nvrtc,
                                                                  cache::Store& store);

}  // namespace kerncast
