#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "runtime/simulator/driver/context/context.hpp"
#include "runtime/simulator/driver/context/failure.hpp"
#include "runtime/simulator/driver/context/report.hpp"
#include "runtime/simulator/driver/context/scheduler.hpp"
#include "runtime/simulator/driver/context/state.hpp"
#include "runtime/simulator/driver/graph/capture.hpp"
#include "runtime/simulator/driver/graph/graph.hpp"
#include "runtime/simulator/driver/module/module.hpp"
#include "runtime/simulator/driver/module/profile.hpp"

namespace kerncast::simulator::api {
namespace {

constexpr Dimensions most_blocks = {0x7fffffff, 65535, 65535};
constexpr Dimensions most_threads = {1024, 1024, 64};

void require_dimensions(const char* what, const Dimensions& given, const Dimensions& most) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (given[i] == 0 || given[i] > most[i]) {
      throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{} {}x{}x{}: {} must be 1 to {}", what, given[0],
                                                          given[1], given[2], "xyz"[i], most[i]));
    }
  }
}

void require_fitting(const Function& function, const Dimensions& grid, const Dimensions& block,
                     unsigned int shared) {
  const KernelInfo& info = function.info();
  require_dimensions("grid", grid, most_blocks);
  require_dimensions("block", block, most_threads);
  const std::uint32_t threads = block[0] * block[1] * block[2];
  if (threads > static_cast<std::uint32_t>(max_threads_per_block)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, fmt::format("{}: a block of {} threads exceeds the device's {}",
                                                        info.name, threads, max_threads_per_block));
  }
  if (info.max_threads_per_block > 0 && threads > info.max_threads_per_block) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{}: a block of {} threads exceeds the kernel's launch bound of {}", info.name,
                              threads, info.max_threads_per_block));
  }
  if (info.required_block[0] != 0 && block != info.required_block) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{}: a block of {}x{}x{} threads; the kernel requires {}x{}x{}", info.name,
                              block[0], block[1], block[2], info.required_block[0], info.required_block[1],
                              info.required_block[2]));
  }
  if (const int most = function.settings->max_dynamic_shared; shared > static_cast<unsigned int>(most)) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{}: {} bytes of dynamic shared memory exceed {}; raise "
                              "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES first",
                              info.name, shared, most));
  }
  const std::size_t all = info.static_shared_bytes + shared;
  if (all > static_cast<std::size_t>(state().arch.shared_optin_bytes())) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{}: {} bytes of shared memory exceed the device's {}", info.name, all,
                              state().arch.shared_optin_bytes()));
  }
}

std::size_t parameter_bytes(const KernelInfo& info) {
  std::size_t bytes = info.parameter_bytes;
  for (const KernelParameter& parameter : info.parameters) {
    bytes = std::max(bytes, parameter.offset + parameter.size);
  }
  return bytes;
}

/// The packed parameter buffer, from one pointer per parameter.
std::vector<std::byte> pack(const KernelInfo& info, void** parameters) {
  std::vector<std::byte> buffer(parameter_bytes(info));
  for (std::size_t i = 0; i < info.parameters.size(); ++i) {
    if (parameters == nullptr || parameters[i] == nullptr) {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{}: parameter {} of {} is null", info.name, i, info.parameters.size()));
    }
    std::memcpy(buffer.data() + info.parameters[i].offset, parameters[i], info.parameters[i].size);
  }
  return buffer;
}

/// The packed parameter buffer, from a launch's `extra` list.
std::vector<std::byte> unpack_extra(const KernelInfo& info, void** extra) {
  const void* given = nullptr;
  const std::size_t* size = nullptr;
  for (; *extra != launch_param_end; extra += 2) {
    if (*extra == launch_param_buffer_pointer) {
      given = extra[1];
    } else if (*extra == launch_param_buffer_size) {
      size = static_cast<const std::size_t*>(extra[1]);
    } else {
      throw Failure(CUDA_ERROR_INVALID_VALUE,
                    fmt::format("{}: unknown entry in the launch's extra list", info.name));
    }
  }
  std::vector<std::byte> buffer(parameter_bytes(info));
  const std::size_t bytes = size != nullptr ? *size : 0;
  if (bytes < buffer.size() || (given == nullptr && !buffer.empty())) {
    throw Failure(CUDA_ERROR_INVALID_VALUE,
                  fmt::format("{}: a parameter buffer of {} bytes is needed, {} are given", info.name,
                              buffer.size(), given != nullptr ? bytes : 0));
  }
  if (given != nullptr && !buffer.empty()) {
    std::memcpy(buffer.data(), given, buffer.size());
  }
  return buffer;
}

void launch(const CUlaunchConfig& config, CUfunction handle, void** parameters, void** extra) {
  current_context();
  const std::shared_ptr<const KernelNode> node = make_kernel(config, handle, parameters, extra);
  const StreamRef target = find_stream(config.hStream);
  if (node->function->context != target.context->handle) {
    throw Failure(CUDA_ERROR_INVALID_HANDLE, "function and stream belong to different contexts");
  }
  submit(target, CU_GRAPH_NODE_TYPE_KERNEL, node);
}

}  // namespace

void require_supported(const CUlaunchAttribute& attribute) {
  switch (attribute.id) {
    case CU_LAUNCH_ATTRIBUTE_IGNORE:
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
      return;
    default:
      throw Failure(CUDA_ERROR_NOT_SUPPORTED,
                    fmt::format("launch attribute {} is not offered", static_cast<int>(attribute.id)));
  }
}

Dimensions cluster_of(const KernelNode& node) {
  const KernelInfo& info = node.function->info();
  Dimensions cluster = info.required_cluster;
  if (const auto hint = node.hints.find(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION); hint != node.hints.end()) {
    const auto& given = hint->second.clusterDim;
    cluster = {given.x, given.y, given.z};
  }
  for (std::uint32_t& size : cluster) {
    size = std::max(size, 1U);
  }
  return cluster;
}

void require_cluster(const KernelNode& node) {
  const KernelInfo& info = node.function->info();
  const Dimensions cluster = cluster_of(node);
  const std::uint64_t blocks = std::uint64_t{cluster[0]} * cluster[1] * cluster[2];
  const std::string named =
      fmt::format("{}: a cluster of {}x{}x{} blocks", info.name, cluster[0], cluster[1], cluster[2]);
  if (blocks > 1 && state().arch.sm < 90) {
    throw Failure(CUDA_ERROR_NOT_SUPPORTED, named + "; clusters need a device of sm_90 or above");
  }
  const auto hint = node.hints.find(CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
  const bool given = hint != node.hints.end() && hint->second.clusterDim.x != 0;
  if (info.explicit_cluster && info.required_cluster[0] == 0 && !given) {
    throw Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                  info.name + ": the kernel must be launched with the size of its clusters");
  }
  if (info.required_cluster[0] != 0 && cluster != info.required_cluster) {
    throw Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                  fmt::format("{}; the kernel requires {}x{}x{}", named, info.required_cluster[0],
                              info.required_cluster[1], info.required_cluster[2]));
  }
  if (const int most = most_blocks_of_cluster(*node.function); blocks > static_cast<std::uint64_t>(most)) {
    throw Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                  fmt::format("{}; the most is {}, or 16 with "
                              "CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED",
                              named, most));
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (node.grid[i] % cluster[i] != 0) {
      throw Failure(CUDA_ERROR_INVALID_CLUSTER_SIZE,
                    fmt::format("{} does not divide the grid of {}x{}x{}", named, node.grid[0], node.grid[1],
                                node.grid[2]));
    }
  }
}

void require_cooperative(const KernelNode& node) {
  const auto blocks = static_cast<std::uint64_t>(node.grid[0]) * node.grid[1] * node.grid[2];
  const auto threads = static_cast<int>(node.block[0] * node.block[1] * node.block[2]);
  const auto most = static_cast<std::uint64_t>(resident_blocks(*node.function, threads, node.shared_bytes)) *
                    static_cast<std::uint64_t>(state().arch.sm_count);
  if (blocks > most) {
    throw Failure(CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
                  fmt::format("{}: {} blocks of a cooperative grid; the device holds {} at once",
                              node.function->info().name, blocks, most));
  }
}

void place_parameters(KernelNode& node) {
  node.parameter_places.clear();
  for (const KernelParameter& parameter : node.function->info().parameters) {
    node.parameter_places.push_back(node.parameters.data() + parameter.offset);
  }
}

std::shared_ptr<KernelNode> make_kernel(const CUlaunchConfig& config, CUfunction handle, void** parameters,
                                        void** extra) {
  auto node = std::make_shared<KernelNode>();
  node->function = find_function(handle);
  node->named = handle;
  node->grid = {config.gridDimX, config.gridDimY, config.gridDimZ};
  node->block = {config.blockDimX, config.blockDimY, config.blockDimZ};
  node->shared_bytes = config.sharedMemBytes;
  require_fitting(*node->function, node->grid, node->block, config.sharedMemBytes);
  if (config.numAttrs > 0) {
    require(config.attrs, "attrs");
    for (unsigned int i = 0; i < config.numAttrs; ++i) {
      const CUlaunchAttribute& attribute = config.attrs[i];
      require_supported(attribute);
      if (attribute.id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) {
        node->cooperative = attribute.value.cooperative != 0;
      } else if (attribute.id == CU_LAUNCH_ATTRIBUTE_PRIORITY) {
        node->priority = attribute.value.priority;
      } else if (attribute.id != CU_LAUNCH_ATTRIBUTE_IGNORE) {
        node->hints[attribute.id] = attribute.value;
      }
    }
  }
  require_cluster(*node);
  if (node->cooperative) {
    require_cooperative(*node);
  }
  if (parameters != nullptr && extra != nullptr) {
    throw Failure(CUDA_ERROR_INVALID_VALUE, "parameters are given twice, by pointers and as a buffer");
  }
  const KernelInfo& info = node->function->info();
  node->parameters = extra != nullptr ? unpack_extra(info, extra) : pack(info, parameters);
  place_parameters(*node);
  return node;
}

namespace {

/// Launches of clusters do not overlap with others, which the attribute allows.
bool has_clusters(const KernelNode& node) {
  const Dimensions cluster = cluster_of(node);
  return cluster[0] * cluster[1] * cluster[2] > 1;
}

}  // namespace

bool is_dependent(const KernelNode& node) {
  const auto hint = node.hints.find(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
  return state().arch.sm >= 90 && hint != node.hints.end() &&
         hint->second.programmaticStreamSerializationAllowed != 0 && !has_clusters(node);
}

std::shared_ptr<GridLink> make_link(const KernelNode& node, bool dependent) {
  const bool overlaps =
      state().arch.sm >= 90 && !has_clusters(node) && (node.function->info().triggers || dependent);
  return overlaps ? std::make_shared<GridLink>(state().overlap) : nullptr;
}

void run_kernel(const KernelNode& node, Context& context, Moment& moment) {
  if (state().faults.strike(context)) {
    return;
  }
  Launch work;
  work.module = node.function->module.get();
  work.kernel = node.function->index;
  work.grid = node.grid;
  work.block = node.block;
  work.cluster = cluster_of(node);
  work.dynamic_shared_bytes = node.shared_bytes;
  work.parameters = node.parameters;
  work.device = node.function->device;
  work.link = moment.link;
  work.reachable = context.reachable;
  work.sm_count = static_cast<std::uint32_t>(state().arch.sm_count);
  work.cooperative = node.cooperative;
  work.checks = state().checks != Checks::off;
  std::vector<std::string> findings;
  work.findings = state().checks == Checks::report ? &findings : nullptr;
  LaunchProfile counts;
  const bool recorded = profiling();
  DeviceClock* const clock = state().clock(context.device);
  work.profile = recorded || clock != nullptr ? &counts : nullptr;
  work.footprint = clock != nullptr;
  KernelClock kernel_clock;
  if (clock != nullptr) {
    kernel_clock = clock->kernel_clock(moment.now);
    work.clock = &kernel_clock;
  }
  work.stack_limit = context.limits[CU_LIMIT_STACK_SIZE];
  work.heap_bytes = context.limits[CU_LIMIT_MALLOC_HEAP_SIZE];
  work.clock_offset = state().slept.load();
  LaunchCounts totals;
  const Fault fault = execute(work, state().memory, &totals);
  state().slept += totals.slept;
  if (recorded) {
    record_launch(work, counts);
  }
  if (clock != nullptr && fault.kind == FaultKind::none) {
    moment.pass(clock->launch_time(work, counts, totals.slept, moment.eager, moment.hidden));
  }
  for (const std::string& finding : findings) {
    report(finding);
  }
  if (fault.kind != FaultKind::none) {
    context.set_fault(code_of(fault.kind), fault.message);
  }
}

extern "C" {

CUresult cuLaunchKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                        unsigned int block_x, unsigned int block_y, unsigned int block_z,
                        unsigned int shared_bytes, CUstream stream, void** parameters, void** extra) {
  return driver_call([&] {
    launch({grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, nullptr, 0}, function,
           parameters, extra);
    return CUDA_SUCCESS;
  });
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned int grid_x, unsigned int grid_y,
                                   unsigned int grid_z, unsigned int block_x, unsigned int block_y,
                                   unsigned int block_z, unsigned int shared_bytes, CUstream stream,
                                   void** parameters) {
  return driver_call([&] {
    CUlaunchAttribute cooperative{};
    cooperative.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    cooperative.value.cooperative = 1;
    launch({grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, &cooperative, 1},
           function, parameters, nullptr);
    return CUDA_SUCCESS;
  });
}

CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters,
                          void** extra) {
  return driver_call([&] {
    require(config, "config");
    launch(*config, function, parameters, extra);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"

}  // namespace kerncast::simulator::api
