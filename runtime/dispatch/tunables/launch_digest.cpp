#include "runtime/dispatch/tunables/launch_digest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cache/key.hpp"
#include "kerncast/error.hpp"

namespace kerncast {
namespace {

/// Few rows and many, none of them a power of two but the first.
constexpr std::int64_t probed_rows[] = {1, 33, 1000};
/// Many calls need a workspace only if they have many rows.
constexpr std::int64_t workspace_rows[] = {1, 1000, 9000};
/// The traits of an H100. Every record is probed on the same device, whatever it was tuned on.
constexpr DeviceTraits probed_device{90, 132, 232448};

/// An op with more combinations than these, such as a host's own one, has some of them left out.
constexpr std::size_t most_combinations = 4096;

void add(std::string& bytes, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(value >> shift & 0xffU));
  }
}

void add(std::string& bytes, const LaunchGeometry& geometry) {
  for (const std::uint32_t size : geometry.grid) {
    add(bytes, size);
  }
  for (const std::uint32_t size : geometry.block) {
    add(bytes, size);
  }
  add(bytes, geometry.dynamic_shared);
}

/// The tensor that hands the results of one kernel of a call to the next.
constexpr std::string_view workspace_name = "workspace";

bool has_workspace(const OpDefinition& op) {
  return op.plan_inputs != nullptr && op.plan_outputs != nullptr &&
         std::any_of(op.tensors.begin(), op.tensors.end(),
                     [](const TensorSpec& tensor) { return tensor.name == workspace_name; });
}

/// A view of a tensor that only its shape is asked of. No op may touch its memory.
TensorView imagined(const TensorPlan& plan) {
  TensorView view;
  view.data = reinterpret_cast<void*>(std::uintptr_t{4096});
  view.dtype = plan.dtype;
  view.rank = static_cast<int>(std::min(plan.shape.size(), view.shape.size()));
  std::int64_t stride = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    view.shape[at] = plan.shape[at];
    view.strides[at] = plan.strides.size() > at ? plan.strides[at] : stride;
    stride *= plan.shape[at];
  }
  return view;
}

/// The type and shape of the workspace of a call of `rows` rows; empty if it has none.
std::string workspace_of(const OpDefinition& op, const Specialisation& spec, std::int64_t rows) {
  Bindings bindings;
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const std::string text = format_param(op.params[i], spec[i]);
    bindings.set_param(op.params[i].name, text.substr(text.find('=') + 1));
  }
  try {
    for (const TensorPlan& plan : op.plan_inputs(bindings, rows)) {
      bindings.set_tensor(plan.name, imagined(plan));
    }
    std::string text;
    for (const TensorPlan& plan : op.plan_outputs(bindings)) {
      if (plan.name == workspace_name) {
        text += fmt::format("{} {} {};", rows, name_of(plan.dtype), fmt::join(plan.shape, ","));
      }
    }
    return text;
  } catch (const Error&) {
    // The specialisation alone, without scalars, does not give a call of so many rows.
    return {};
  }
}

}  // namespace

std::string launch_digest(const OpDefinition& op, const Specialisation& spec) {
  std::string bytes;
  const std::vector<Tunables> all = all_tunables(op);
  const std::size_t step = all.size() / most_combinations + 1;
  for (std::size_t i = 0; i < all.size(); i += step) {
    const Tunables& tunables = all[i];
    if (op.tunables_defect != nullptr && !op.tunables_defect(spec, tunables, probed_device).empty()) {
      add(bytes, UINT32_MAX);
      continue;
    }
    for (const std::int64_t rows : probed_rows) {
      add(bytes, op.geometry(spec, tunables, probed_device, rows));
      for (const LaterStage& stage : op.later_stages) {
        add(bytes, stage.geometry(spec, tunables, probed_device, rows));
      }
    }
  }
  cache::KeyFieldList fields = {{"launches", bytes}};
  if (has_workspace(op)) {
    std::string workspaces;
    for (const std::int64_t rows : workspace_rows) {
      workspaces += workspace_of(op, spec, rows);
    }
    fields.emplace_back("workspace", workspaces);
  }
  return cache::key_of_fields(fields).hex();
}

}  // namespace kerncast
