#include "runtime/simulator/driver/module/profile.hpp"

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/simulator/machine/program.hpp"
#include "runtime/simulator/machine/source_map.hpp"
#include "runtime/simulator/watch/instructions.hpp"
#include "runtime/simulator/watch/profile_abi.hpp"

namespace kerncast::simulator::api {
namespace {

/// A launch with everything its C structure points to.
struct Record {
  std::string kernel;
  std::deque<std::string> texts;
  std::vector<KerncastSimInstruction> instructions;
  KerncastSimLaunch launch{};
};

struct Recorder {
  std::atomic<bool> on{false};
  std::mutex mutex;
  std::vector<std::unique_ptr<Record>> records;
};

Recorder& recorder() {
  static auto* recorder = new Recorder;
  return *recorder;
}

}  // namespace

bool profiling() {
  return recorder().on.load(std::memory_order_acquire);
}

void record_launch(const Launch& launch, const LaunchProfile& counts) {
  const Program& module = launch.module->program();
  const auto kernel = static_cast<std::size_t>(launch.kernel);
  auto record = std::make_unique<Record>();
  record->kernel = module.kernels[kernel].name;
  const SourceMap sources(module.text);
  for_each_instruction(module, launch.kernel, [&](const Op& op) {
    if (op.prefix >= counts.instructions.size()) {
      return;
    }
    const int line = module.line_of(&op);
    const SourcePlace place = sources.at(line);
    KerncastSimInstruction made{};
    made.ptx_line = static_cast<std::uint32_t>(line);
    made.source_line = static_cast<std::uint32_t>(place.line);
    made.source_file = record->texts.emplace_back(place.file).c_str();
    made.text = record->texts.emplace_back(module.line_text(line)).c_str();
    made.unit = unit_of(op);
    made.counts = counts.instructions[op.prefix];
    record->instructions.push_back(made);
  });
  std::stable_sort(record->instructions.begin(), record->instructions.end(),
                   [](const KerncastSimInstruction& a, const KerncastSimInstruction& b) {
                     return a.ptx_line < b.ptx_line;
                   });
  record->launch.kernel = record->kernel.c_str();
  for (std::size_t i = 0; i < 3; ++i) {
    record->launch.grid[i] = launch.grid[i];
    record->launch.block[i] = launch.block[i];
  }
  record->launch.static_shared = static_cast<std::uint32_t>(module.kernels[kernel].static_shared_bytes);
  record->launch.dynamic_shared = launch.dynamic_shared_bytes;
  record->launch.longest_warp = counts.longest_warp;
  record->launch.longest_warp_requests = counts.longest_warp_requests;
  record->launch.instruction_count = record->instructions.size();
  record->launch.instructions = record->instructions.data();
  const std::lock_guard lock(recorder().mutex);
  recorder().records.push_back(std::move(record));
}

}  // namespace kerncast::simulator::api

// These definitions stand outside the namespace, or they would not be the functions that the header makes
// visible.
using kerncast::simulator::api::recorder;
using kerncast::simulator::api::Recorder;

extern "C" {

void kerncastSimProfile(int on) {
  Recorder& all = recorder();
  const std::lock_guard lock(all.mutex);
  if (on != 0) {
    all.records.clear();
  }
  all.on.store(on != 0, std::memory_order_release);
}

std::size_t kerncastSimProfileCount() {
  const std::lock_guard lock(recorder().mutex);
  return recorder().records.size();
}

const KerncastSimLaunch* kerncastSimProfileLaunch(std::size_t index) {
  const std::lock_guard lock(recorder().mutex);
  return index < recorder().records.size() ? &recorder().records[index]->launch : nullptr;
}

}  // extern "C"
