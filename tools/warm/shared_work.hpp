#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/cache.hpp"
#include "tools/warm/warm_plan.hpp"

namespace kerncast::tools {

/// The kernels of a plan that machines compile together: each takes kernels from a queue on the server that
/// they share. Not thread-safe; it ends before the cache and the plan.
class SharedWork {
 public:
  /// `patience` is the longest time that a sound machine works on one kernel. Throws UsageError if the
  /// machines share no server that can be used.
  SharedWork(cache::Cache& cache, const std::vector<PlannedKernel>& kernels, std::chrono::seconds patience);

  /// The indices of at most `places` kernels that this machine has to compile now. What it takes and has
  /// already is uploaded if the server lacks it. Has to be called about ten times a second.
  [[nodiscard]] std::vector<std::size_t> take(std::size_t places);
  /// Says that the kernel at `index` was compiled, or cannot be compiled here.
  void ended(std::size_t index) { queue_->ended(kernels_[index].key); }
  /// Gives back what was taken and has not ended.
  void leave() { queue_->leave(); }
  /// True if nothing more can be taken: every kernel has ended, or the queue has failed.
  [[nodiscard]] bool over() { return queue_->over(); }
  /// The indices of the kernels that were missing when the plan was made and that take() has not returned.
  [[nodiscard]] std::vector<std::size_t> rest() const;
  /// The kernels that had not ended anywhere when the server was asked last.
  [[nodiscard]] std::uint64_t open() const { return queue_->open(); }

 private:
  cache::Cache& cache_;
  const std::vector<PlannedKernel>& kernels_;
  std::map<std::string, std::size_t> index_of_;
  std::vector<bool> taken_;
  std::unique_ptr<cache::RemoteQueue> queue_;
};

}  // namespace kerncast::tools
