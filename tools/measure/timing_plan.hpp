#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace kerncast::tools {

/// The policy by which a call is timed on a device.
struct TimingPolicy {
  enum class L2 : std::uint8_t {
    cold,  ///< the tensors of a launch come from device memory, as in a model whose other layers ran in
           ///< between
    warm,  ///< every launch finds what the one before left in the L2 cache
  };
  enum class Launch : std::uint8_t {
    graph,   ///< as a CUDA graph launches: without the host's cost of a launch
    stream,  ///< as a host launches one by one
  };

  L2 l2 = L2::cold;
  Launch launch = Launch::graph;
  /// A sample takes at least this long, if most_launches allow: an event has a resolution of about 0.5 us.
  double least_us = 200;
  /// The most launches of one sample. It also bounds the copies of the tensors.
  int most_launches = 64;
  /// Kernels may start before the one ahead of them has ended. The runtime decides that: this says what it
  /// does, and changes nothing.
  bool programmatic = false;

  /// The policy in words, such as "graphs of 200 us and at most 64 launches, cold L2". Two policies with the
  /// same text give comparable times.
  [[nodiscard]] std::string text() const;
};

/// The numbers that follow from a policy for one call.
struct TimingPlan {
  int launches = 1;  ///< in one sample
  int copies = 1;    ///< of the tensors, used in turn
  /// The cache is overwritten before each sample, since the copies alone do not exceed it.
  bool overwrite_cache = false;
};

/// Plans the samples of a call that takes about `call_us` microseconds and whose tensors take `bytes`, on a
/// device with an L2 cache of `l2_bytes`. A pure function.
[[nodiscard]] TimingPlan plan_timing(const TimingPolicy& policy, double call_us, std::size_t bytes,
                                     std::size_t l2_bytes);

}  // namespace kerncast::tools
