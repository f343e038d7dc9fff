#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "tests/cache/sample.hpp"
#include "tests/templates/catalogue.hpp"
#include "tools/device_description.hpp"
#include "tools/op_profile.hpp"

using namespace kerncast;
using namespace kerncast::tools;

namespace {

constexpr double sector_bytes = 32;
constexpr double most_sectors = 1.02;
constexpr double most_wavefronts = 1.1;

std::map<std::string, double> input_bytes(const Workload& workload, std::int64_t rows) {
  Bindings bindings;
  for (const auto& [name, value] : workload.params) {
    bindings.set_param(name, value);
  }
  for (const auto& [name, value] : workload.scalars) {
    bindings.set_scalar(name, value);
  }
  std::map<std::string, double> bytes;
  for (const TensorPlan& plan : workload.op->plan_inputs(bindings, rows)) {
    double size = static_cast<double>(size_of(plan.dtype));
    for (const std::int64_t extent : plan.shape) {
      size *= static_cast<double>(extent);
    }
    bytes[plan.name] = size;
  }
  return bytes;
}

/// Rows that are normalised or quantised by themselves: the heads of a token where the op works on heads.
double rows_of_work(const Workload& workload, std::int64_t rows) {
  const Specialisation spec = specialise(*workload.op, workload.params);
  double heads = 0;
  for (const char* name : {"q_heads", "kv_heads"}) {
    if (const int index = find_param(*workload.op, name); index >= 0) {
      heads += spec[static_cast<std::size_t>(index)];
    }
  }
  return static_cast<double>(rows) * std::max(heads, 1.0);
}

/// Bytes a launch has to read: inputs that grow with the rows once, those shared by all rows (weights) once
/// per row at most.
double bytes_to_read(const Workload& workload, std::int64_t rows) {
  const auto once = input_bytes(workload, rows);
  const auto twice = input_bytes(workload, 2 * rows);
  double bytes = 0;
  for (const auto& [name, size] : once) {
    bytes += twice.at(name) > size ? size : size * rows_of_work(workload, rows);
  }
  return bytes;
}

/// Ops that are about choosing and counting: what they move is small beside what they compute, and comes and
/// goes in words scattered by expert.
bool is_bandwidth_bound(const OpDefinition& op) {
  const std::set<std::string> others{"moe.fused_gate", "moe.topk_softmax", "moe.topk_sigmoid",
                                     "moe.align_block_size", "moe.permute"};
  return !others.contains(op.name);
}

/// Ops that count by expert in shared memory: which banks meet depends on the ids.
bool counts_by_expert(const OpDefinition& op) {
  return op.name == "moe.align_block_size" || op.name == "moe.permute";
}

/// Loads of operands that every warp reads for itself, over the tensors' own bytes: a static scale, a gate.
double most_loads(const Workload& workload) {
  const OpDefinition& op = *workload.op;
  if (op.name == "norm.gate_residual_scale_shift") {
    return 1.11;
  }
  if (const int scaling = find_param(op, "scaling"); scaling >= 0) {
    const ParamSpec& param = op.params[static_cast<std::size_t>(scaling)];
    const std::int32_t value = specialise(op, workload.params)[static_cast<std::size_t>(scaling)];
    return format_param(param, value) == "scaling=per_tensor" ? 1.05 : most_sectors;
  }
  return most_sectors;
}

/// A scale lies alone in a sector of its own as far as the warp that writes it knows.
double scattered_scale_bytes(const Workload& workload, std::int64_t rows) {
  const Specialisation spec = specialise(*workload.op, workload.params);
  if (workload.op->name == "quant.per_token_fp8" || workload.op->name == "quant.per_token_int8") {
    return sector_bytes * static_cast<double>(rows);
  }
  const int hidden = find_param(*workload.op, "hidden");
  const int group = find_param(*workload.op, "group");
  if (hidden < 0 || group < 0) {
    return 0;
  }
  const auto at = [&](int index) { return static_cast<double>(spec[static_cast<std::size_t>(index)]); };
  return sector_bytes * static_cast<double>(rows) * at(hidden) / at(group);
}

/// Every op of `room` at every model shape.
void check_traffic(const std::string& room) {
  constexpr std::int64_t rows = 128;
  const TemporaryFolder folder;
  RuntimeOptions options;
  options.cache_directory = folder.path();
  options.driver = "sim";
  Runtime runtime(options);
  RunDevice device(runtime, 0);
  const DeviceDescription& h100 = require_device_description("h100");
  for (const Workload& workload : test::catalogue_workloads()) {
    if (!workload.op->name.starts_with(room + ".")) {
      continue;
    }
    OpProfileRequest request;
    request.op = workload.op;
    request.check = false;
    request.params = workload.params;
    request.scalars = workload.scalars;
    request.rows = rows;
    request.arch = runtime.arch(0);
    request.traits = {h100.sm, h100.sm_count, h100.shared_bytes_per_block};
    KerncastSimCounts loads{};
    KerncastSimCounts stores{};
    KerncastSimCounts total{};
    double written = 0;
    const std::vector<OpProfile> stages = profile_op(runtime, device, request);
    for (const OpProfile& stage : stages) {
      const GlobalTraffic traffic = global_traffic(stage.launch);
      add_counts(loads, traffic.loads);
      add_counts(stores, traffic.stores);
      add_counts(total, total_counts(stage.launch));
      written = static_cast<double>(stage.written_bytes);
    }
    INFO(workload.label << ": " << workload.op->name << " ["
                        << format_specialisation(*workload.op, specialise(*workload.op, workload.params))
                        << "]");
    const double to_read = bytes_to_read(workload, rows) * static_cast<double>(stages.size());
    const auto moved = [](const KerncastSimCounts& counts) {
      return static_cast<double>(counts.global_sectors) * sector_bytes;
    };
    if (is_bandwidth_bound(*workload.op)) {
      CHECK(moved(loads) <= most_loads(workload) * to_read);
      CHECK(moved(stores) <= most_sectors * written + scattered_scale_bytes(workload, rows));
      CHECK(static_cast<double>(loads.global_sectors) <=
            most_sectors * static_cast<double>(loads.global_least_sectors));
    }
    if (!counts_by_expert(*workload.op)) {
      CHECK(static_cast<double>(total.shared_wavefronts) <=
            most_wavefronts * static_cast<double>(total.shared_least_wavefronts));
    }
    CHECK(total.local_requests == 0);
  }
}

}  // namespace

TEST_CASE("quant moves no more memory than its tensors hold", "[quant]") {
  check_traffic("quant");
}
TEST_CASE("activation moves no more memory than its tensors hold", "[activation]") {
  check_traffic("activation");
}
TEST_CASE("moe moves no more memory than its tensors hold", "[moe]") {
  check_traffic("moe");
}
TEST_CASE("norm moves no more memory than its tensors hold", "[norm]") {
  check_traffic("norm");
}
