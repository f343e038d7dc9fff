#include "tools/warm/shared_work.hpp"

#include <optional>

#include "cache/key.hpp"
#include "tools/io/usage_error.hpp"

namespace kerncast::tools {
namespace {

/// The name of the queue of these kernels. `keys` are in order.
std::string name_of(const std::map<std::string, std::size_t>& keys) {
  cache::KeyFields fields;
  for (const auto& [key, index] : keys) {
    fields.add("kernel", key);
  }
  return fields.key().hex();
}

std::vector<std::string> names(const std::map<std::string, std::size_t>& keys) {
  std::vector<std::string> out;
  out.reserve(keys.size());
  for (const auto& [key, index] : keys) {
    out.push_back(key);
  }
  return out;
}

}  // namespace

SharedWork::SharedWork(cache::Cache& cache, const std::vector<PlannedKernel>& kernels,
                       std::chrono::seconds patience)
    : cache_(cache), kernels_(kernels), taken_(kernels.size()) {
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    index_of_.try_emplace(kernels[i].key, i);
  }
  queue_ = cache.queue(name_of(index_of_), names(index_of_), patience);
  if (queue_ == nullptr) {
    throw UsageError(
        "--shard auto: the server of KERNCAST_CACHE_REMOTE cannot be used; a warning says why, and kerncast "
        "doctor examines it");
  }
}

std::vector<std::size_t> SharedWork::take(std::size_t places) {
  constexpr std::chrono::milliseconds longest{500};  // Terms have to be renewed and a stop to be noticed.
  const cache::Deadline deadline = cache::Deadline::after(longest);
  std::vector<std::size_t> missing;
  bool more = true;
  while (more && !deadline.expired()) {
    more = false;
    for (const std::string& item : queue_->take(places - missing.size())) {
      const std::size_t index = index_of_.at(item);
      if (!kernels_[index].cached) {
        taken_[index] = true;
        missing.push_back(index);
        continue;
      }
      if (const std::optional<cache::Key> key = cache::Key::from_hex(item)) {
        cache_.share(*key);
      }
      queue_->ended(item);
      more = true;
    }
  }
  return missing;
}

std::vector<std::size_t> SharedWork::rest() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < kernels_.size(); ++i) {
    if (!kernels_[i].cached && !taken_[i]) {
      out.push_back(i);
    }
  }
  return out;
}

}  // namespace kerncast::tools
