#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <kerncast/ops/moe/align_block_size.hpp>
#include "tests/templates/catalogue/catalogue.hpp"
#include "tests/templates/kernel_cache.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/profile/op_profile.hpp"
#include "tools/run/op_run.hpp"

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

/// Rows that are normalised or quantised by themselves; for ops that work on heads, the heads of a token.
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

double param_of(const Workload& workload, const char* name, double otherwise) {
  const int index = find_param(*workload.op, name);
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 ? specialise(*workload.op, workload.params)[at] : otherwise;
}

bool has_setting(const Workload& workload, const char* name, const std::string& value) {
  const int index = find_param(*workload.op, name);
  const auto at = static_cast<std::size_t>(index);
  return index >= 0 && format_param(workload.op->params[at], specialise(*workload.op, workload.params)[at]) ==
                           std::string(name) + "=" + value;
}

/// True for ops that choose experts: a warp loads and stores each token's words by itself.
bool is_router(const OpDefinition& op) {
  return op.name == "moe.fused_gate" || op.name == "moe.topk_softmax" || op.name == "moe.topk_sigmoid";
}

/// True for ops that count by expert in shared memory, whose bank conflicts depend on the ids.
bool counts_by_expert(const OpDefinition& op) {
  return op.name == "moe.align_block_size" || op.name == "moe.permute";
}

/// The expert of each slot, or -1.
std::vector<std::int64_t> experts_of_slots(const Workload& workload, std::int64_t rows) {
  const auto integers = [](const HostTensor& tensor) {
    std::vector<std::int32_t> values(tensor.bytes.size() / sizeof(std::int32_t));
    std::memcpy(values.data(), tensor.bytes.data(), values.size() * sizeof(std::int32_t));
    return values;
  };
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> map;
  for (const HostTensor& tensor : synthetic_inputs(*workload.op, workload.params, workload.scalars, rows)) {
    if (tensor.name == "ids") {
      ids = integers(tensor);
    } else if (tensor.name == "expert_map") {
      map = integers(tensor);
    }
  }
  const auto count = static_cast<std::int64_t>(param_of(workload, "experts", 0));
  std::vector<std::int64_t> experts;
  for (const std::int32_t id : ids) {
    std::int64_t expert = id;
    if (!map.empty()) {
      const bool known = id >= 0 && static_cast<std::size_t>(id) < map.size();
      expert = known ? map[static_cast<std::size_t>(id)] : -1;
    }
    experts.push_back(expert >= 0 && expert < count ? expert : -1);
  }
  return experts;
}

/// Passes over the banks past the first that a warp's 32 slots need to reach a word for each of their
/// experts: neighbouring experts' words are neighbours. Slots without an expert share `stray`'s word, if that
/// is one.
double further_passes(const std::vector<std::int64_t>& experts, std::int64_t stray) {
  constexpr std::size_t lanes = 32;
  constexpr std::int64_t banks = 32;
  double passes = 0;
  for (std::size_t first = 0; first < experts.size(); first += lanes) {
    std::set<std::int64_t> words;
    for (std::size_t i = first; i < std::min(first + lanes, experts.size()); ++i) {
      words.insert(experts[i] >= 0 ? experts[i] : stray);
    }
    words.erase(-1);
    std::map<std::int64_t, int> load;
    int most = 1;
    for (const std::int64_t word : words) {
      most = std::max(most, ++load[word % banks]);
    }
    passes += most - 1;
  }
  return passes;
}

/// Wavefronts past the fewest that counting by expert takes for these slots: a warp counts its 32 (twice
/// where blocks count first), then reads how many came before them, writes how many now have and reads where
/// their experts begin.
double further_wavefronts(const Workload& workload, std::int64_t rows) {
  if (!counts_by_expert(*workload.op)) {
    return 0;
  }
  const std::vector<std::int64_t> experts = experts_of_slots(workload, rows);
  const bool twice = has_setting(workload, "split", "true") || has_setting(workload, "placing", "split");
  return (twice ? 3 : 2) * further_passes(experts, -1) + 2 * further_passes(experts, 0);
}

/// Sectors of the 4-byte elements from `first` to `last`, 32 of them at a time.
std::int64_t sectors_of_run(std::int64_t first, std::int64_t last) {
  std::int64_t sectors = 0;
  for (std::int64_t from = first; from < last; from += 32) {
    sectors += (std::min(from + 32, last) - 1) / 8 - from / 8 + 1;
  }
  return sectors;
}

/// Bytes of the sectors that align_block_size writes for these slots: those of 32 slots at a time, wherever
/// their experts' places are, what fills all places, and whose the blocks are.
double bytes_to_align(const Workload& workload, std::int64_t rows) {
  const std::vector<std::int64_t> experts = experts_of_slots(workload, rows);
  const auto count = static_cast<std::size_t>(param_of(workload, "experts", 0));
  const auto block = static_cast<std::int64_t>(param_of(workload, "block", 0));
  std::vector<std::int64_t> next(count + 1);
  for (const std::int64_t expert : experts) {
    if (expert >= 0) {
      ++next[static_cast<std::size_t>(expert)];
    }
  }
  std::int64_t total = 0;
  for (std::int64_t& places : next) {
    const std::int64_t end = total + (places + block - 1) / block * block;
    places = total;
    total = end;
  }
  const auto slots = static_cast<std::int64_t>(experts.size());
  const std::int64_t places =
      moe::align_block_size_places(slots, static_cast<int>(count), static_cast<int>(block));
  // All places are filled before slots are written over them.
  std::int64_t sectors = 1 + sectors_of_run(0, places) + sectors_of_run(0, places / block);
  for (std::size_t first = 0; first < experts.size(); first += 32) {
    std::set<std::int64_t> touched;
    for (std::size_t i = first; i < std::min(first + 32, experts.size()); ++i) {
      if (experts[i] >= 0) {
        touched.insert(next[static_cast<std::size_t>(experts[i])]++ / 8);
      }
    }
    sectors += static_cast<std::int64_t>(touched.size());
  }
  const std::int64_t chunks = has_setting(workload, "split", "true") ? (slots + 4095) / 4096 : 0;
  sectors += chunks * sectors_of_run(0, static_cast<std::int64_t>(count));
  return sector_bytes * static_cast<double>(sectors);
}

/// Bytes of whole sectors that hold `rows` rows of `bytes`, `piece` bytes of them at a time.
double sectors_of_rows(std::int64_t rows, std::int64_t bytes, std::int64_t piece) {
  std::int64_t sectors = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t from = 0; from < bytes; from += piece) {
      const std::int64_t first = row * bytes + from;
      const std::int64_t last = row * bytes + std::min(from + piece, bytes) - 1;
      sectors += last / 32 - first / 32 + 1;
    }
  }
  return sector_bytes * static_cast<double>(sectors);
}

/// Bytes a launch has to read: inputs that grow with the rows once, those shared by all rows (weights) once
/// per row at most. A scale of the whole tensor or a choice of few experts takes a sector.
double bytes_to_read(const Workload& workload, std::int64_t rows) {
  const auto once = input_bytes(workload, rows);
  const auto twice = input_bytes(workload, 2 * rows);
  double bytes = 0;
  for (const auto& [name, size] : once) {
    if (is_router(*workload.op)) {
      const bool grows = twice.at(name) > size;
      const auto row = static_cast<std::int64_t>(size) / rows;
      bytes += grows ? sectors_of_rows(rows, row, row) : size * rows_of_work(workload, rows);
    } else {
      bytes += twice.at(name) > size ? size : size * rows_of_work(workload, rows);
    }
  }
  // The largest magnitude of the tensor is known only after one reading of all of it.
  if (has_setting(workload, "dynamic", "true")) {
    bytes *= 2;
  }
  // If several blocks group, each reads its ids twice, and the counts of all blocks.
  if (has_setting(workload, "split", "true") || has_setting(workload, "placing", "split")) {
    const double chunks = std::ceil(once.at("ids") / 4 / 4096);
    bytes += once.at("ids") + 4 * chunks * chunks * param_of(workload, "experts", 0);
  }
  return bytes;
}

/// The scales that an op writes: their bytes, and the bytes of the sectors that hold them.
struct ScaleTraffic {
  double bytes = 0;
  double sectors = 0;
};

/// A warp writes the scales of the groups it holds, which share a sector where they are neighbours; those of
/// other warps come to the same sector only in L2, before it goes to memory.
ScaleTraffic scale_traffic(const Workload& workload, std::int64_t rows) {
  const auto count = static_cast<double>(rows);
  const OpDefinition& op = *workload.op;
  if (op.name == "quant.per_token_fp8" || op.name == "quant.per_token_int8" ||
      has_setting(workload, "scaling", "per_token")) {
    return {4 * count, sector_bytes * count};
  }
  if (has_setting(workload, "scaling", "mxfp8") || has_setting(workload, "scaling", "nvfp4")) {
    // Four scales of a row lie side by side, and the next four in another sector. Padding is cleared by
    // bytes.
    const double block = has_setting(workload, "scaling", "nvfp4") ? 16 : 32;
    const double blocks = param_of(workload, "hidden", 0) / block;
    const double words = std::ceil(blocks / 4);
    return {count * 4 * words, sector_bytes * count * (words + 4 * words - blocks)};
  }
  const bool by_group = has_setting(workload, "scaling", "per_group") || op.name == "quant.per_token_group" ||
                        op.name == "quant.silu_and_mul_per_token_group";
  if (!by_group) {
    return {};
  }
  const auto hidden = static_cast<std::int64_t>(param_of(workload, "hidden", 0));
  const auto group = static_cast<std::int64_t>(param_of(workload, "group", 0));
  const std::int64_t groups = hidden / group;
  const auto all = static_cast<double>(rows * groups);
  // A warp holds 32 vectors of 16 bytes of 16-bit elements.
  constexpr std::int64_t held = 256;
  if (has_setting(workload, "scale_format", "packed_ue8m0")) {
    return {all, sector_bytes * count * std::ceil(static_cast<double>(hidden) / held)};
  }
  if (has_setting(workload, "scale_layout", "row_major")) {
    return {4 * all, sectors_of_rows(rows, 4 * groups, 4 * held / group)};
  }
  return {4 * all, sector_bytes * all};
}

/// Bytes of sectors that a launch writes at most, of whose outputs `written` bytes change.
double bytes_to_write(const Workload& workload, std::int64_t rows, double written) {
  if (is_router(*workload.op)) {
    const std::int64_t slots = 4 * static_cast<std::int64_t>(param_of(workload, "top_k", 0));
    return 2 * sectors_of_rows(rows, slots, slots);
  }
  if (workload.op->name == "moe.align_block_size") {
    return bytes_to_align(workload, rows);
  }
  const ScaleTraffic scales = scale_traffic(workload, rows);
  return most_sectors * (written - scales.bytes) + scales.sectors;
}

/// Checks every op of `room` at every model shape.
void check_traffic(const std::string& room) {
  constexpr std::int64_t rows = 128;
  const test::KernelCache cache;
  RuntimeOptions options;
  options.cache_directory = cache.path();
  options.driver = "sim";
  Runtime runtime(options);
  RunDevice device(runtime, 0);
  const devices::DeviceDescription& h100 = require_device_description("h100");
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
    const auto moved = [](const KerncastSimCounts& counts) {
      return static_cast<double>(counts.global_sectors) * sector_bytes;
    };
    CHECK(moved(loads) <= most_sectors * bytes_to_read(workload, rows));
    CHECK(static_cast<double>(loads.global_sectors) <=
          most_sectors * static_cast<double>(loads.global_least_sectors));
    CHECK(moved(stores) <= bytes_to_write(workload, rows, written));
    CHECK(static_cast<double>(total.shared_wavefronts) - further_wavefronts(workload, rows) <=
          most_wavefronts * static_cast<double>(total.shared_least_wavefronts));
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
