#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/module/module.hpp"

namespace kerncast::simulator::api {
namespace {

std::shared_ptr<Function> function_for(CUfunction handle, unsigned int flags) {
  current_context();
  if (flags > 1) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("there are no occupancy flags {:#x}", flags));
  }
  return find_function(handle);
}

int most_threads_of(const Function& function) {
  const auto bound = static_cast<int>(function.info().max_threads_per_block);
  return bound > 0 ? std::min(bound, max_threads_per_block) : max_threads_per_block;
}

int threads_of(const CUlaunchConfig& config) {
  const std::uint64_t threads = std::uint64_t{config.blockDimX} * config.blockDimY * config.blockDimZ;
  if (threads == 0 || threads > static_cast<std::uint64_t>(max_threads_per_block)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("a block of {} threads", threads));
  }
  return static_cast<int>(threads);
}

/// Blocks of the clusters that a launch of `config` has.
std::uint64_t cluster_blocks_of(const Function& function, const CUlaunchConfig& config) {
  const KernelInfo& info = function.info();
  std::array<std::uint32_t, 3> cluster = info.required_cluster;
  for (unsigned int i = 0; i < config.numAttrs; ++i) {
    require(config.attrs, "attrs");
    const CUlaunchAttribute& attribute = config.attrs[i];
    if (attribute.id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      continue;
    }
    const std::array<std::uint32_t, 3> given = {attribute.value.clusterDim.x, attribute.value.clusterDim.y,
                                                attribute.value.clusterDim.z};
    if (cluster[0] != 0 && given != cluster) {
      throw Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                    info.name + ": the kernel requires clusters of another size");
    }
    cluster = given;
  }
  const std::uint64_t blocks = std::uint64_t{cluster[0]} * cluster[1] * cluster[2];
  if (blocks == 0 || blocks > static_cast<std::uint64_t>(most_blocks_of_cluster(function)) ||
      (blocks > 1 && state().arch.sm < 90)) {
    throw Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                  fmt::format("{}: no clusters of {} blocks", info.name, blocks));
  }
  return blocks;
}

}  // namespace

extern "C" {

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction function,
                                                              int block_size,
                                                              std::size_t dynamic_shared_bytes,
                                                              unsigned int flags) {
  return driver_call([&] {
    require(blocks, "blocks");
    const std::shared_ptr<Function> found = function_for(function, flags);
    if (block_size <= 0) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("a block of {} threads", block_size));
    }
    *blocks = resident_blocks(*found, block_size, dynamic_shared_bytes);
    return CUDA_SUCCESS;
  });
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction function, int block_size,
                                                     std::size_t dynamic_shared_bytes) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size,
                                                              dynamic_shared_bytes, 0);
}

CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid_size, int* block_size, CUfunction function,
                                                   CUoccupancyB2DSize dynamic_shared_of,
                                                   std::size_t dynamic_shared_bytes, int limit,
                                                   unsigned int flags) {
  return driver_call([&] {
    require(grid_size, "grid_size");
    require(block_size, "block_size");
    const std::shared_ptr<Function> found = function_for(function, flags);
    const int most = limit > 0 ? std::min(limit, most_threads_of(*found)) : most_threads_of(*found);
    int best_threads = 0;
    int best_blocks = 0;
    *block_size = 0;
    // Tries block sizes from the largest down, in whole warps after the first; the largest of equals wins.
    for (int size = most; size > 0; size = (size - 1) / warp_size * warp_size) {
      const std::size_t shared =
          dynamic_shared_of != nullptr ? dynamic_shared_of(size) : dynamic_shared_bytes;
      const int blocks = resident_blocks(*found, size, shared);
      if (blocks * size > best_threads) {
        best_threads = blocks * size;
        best_blocks = blocks;
        *block_size = size;
      }
    }
    *grid_size = best_blocks * state().arch.sm_count;
    return CUDA_SUCCESS;
  });
}

CUresult cuOccupancyMaxPotentialBlockSize(int* grid_size, int* block_size, CUfunction function,
                                          CUoccupancyB2DSize dynamic_shared_of,
                                          std::size_t dynamic_shared_bytes, int limit) {
  return cuOccupancyMaxPotentialBlockSizeWithFlags(grid_size, block_size, function, dynamic_shared_of,
                                                   dynamic_shared_bytes, limit, 0);
}

CUresult cuOccupancyMaxPotentialClusterSize(int* size, CUfunction function, const CUlaunchConfig* config) {
  return driver_call([&] {
    require(size, "size");
    require(config, "config");
    const std::shared_ptr<Function> found = function_for(function, 0);
    const int threads = threads_of(*config);
    *size = state().arch.sm < 90 || resident_blocks(*found, threads, config->sharedMemBytes) == 0
                ? 0
                : most_blocks_of_cluster(*found);
    return CUDA_SUCCESS;
  });
}

CUresult cuOccupancyMaxActiveClusters(int* clusters, CUfunction function, const CUlaunchConfig* config) {
  return driver_call([&] {
    require(clusters, "clusters");
    require(config, "config");
    const std::shared_ptr<Function> found = function_for(function, 0);
    const std::uint64_t blocks = cluster_blocks_of(*found, *config);
    const int resident = resident_blocks(*found, threads_of(*config), config->sharedMemBytes);
    *clusters = static_cast<int>(static_cast<std::uint64_t>(resident) *
                                 static_cast<std::uint64_t>(state().arch.sm_count) / blocks);
    return CUDA_SUCCESS;
  });
}

CUresult cuOccupancyAvailableDynamicSMemPerBlock(std::size_t* bytes, CUfunction function, int blocks,
                                                 int block_size) {
  return driver_call([&] {
    require(bytes, "bytes");
    const std::shared_ptr<Function> found = function_for(function, 0);
    if (blocks <= 0 || block_size <= 0 || resident_blocks(*found, block_size, 0) < blocks) {
      throw Failure(
          CUDA_ERROR_INVALID_VALUE,
          fmt::format("{} blocks of {} threads do not fit on a multiprocessor", blocks, block_size));
    }
    const ArchTraits& arch = state().arch;
    const int share = arch.shared_per_sm_kib * 1024 / blocks - arch.reserved_shared_bytes();
    const int fitting = std::min(share, arch.shared_optin_bytes());
    *bytes =
        static_cast<std::size_t>(std::max(0, fitting - static_cast<int>(found->info().static_shared_bytes)));
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
