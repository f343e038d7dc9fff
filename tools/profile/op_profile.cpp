#include "tools/profile/op_profile.hpp"

#include <fmt/format.h>

#include "runtime/dispatch/runtime_impl.hpp"
#include "tools/profile/sim_profile_capture.hpp"

namespace kerncast::tools {
namespace {

std::shared_ptr<const KernelBinary> obtain_with_lines(KernelBuilder& builder, const Variant& variant) {
  if (builder.nvrtc().nvrtc != nullptr) {
    return builder.load_or_compile(variant, BuildPolicy::compile_uncached_with_line_info);
  }
  return builder.load_or_compile(variant, BuildPolicy::cached_or_compile);
}

/// Line info has file names relative to the compiler's working directory. This replaces them by the names in
/// `sources`.
void name_files(LaunchProfile& launch, const std::vector<std::pair<std::string, std::string>>& sources) {
  for (ProfiledInstruction& instruction : launch.instructions) {
    for (const auto& [name, text] : sources) {
      if (instruction.source_file.ends_with("/" + name)) {
        instruction.source_file = name;
      }
    }
  }
}

template <class Tensors>
std::uint64_t bytes_of(const Tensors& tensors) {
  std::uint64_t bytes = 0;
  for (const auto& tensor : tensors) {
    bytes += static_cast<std::uint64_t>(element_count(tensor.shape) * size_of(tensor.dtype));
  }
  return bytes;
}

}  // namespace

void require_profiling(const Runtime& runtime) {
  static_cast<void>(SimProfileCapture(runtime));
}

std::vector<OpProfile> profile_op(Runtime& runtime, RunDevice& device, const OpProfileRequest& request) {
  const OpDefinition& op = *request.op;
  const SimProfileCapture recorder(runtime);
  KernelBuilder& builder = implementation_of(runtime).builder;
  std::vector<OpProfile> profiles;

  OpRunRequest run;
  run.op = request.op;
  run.params = request.params;
  run.scalars = request.scalars;
  run.inputs = synthetic_inputs(op, request.params, request.scalars, request.rows);
  run.timed_dispatches = 0;
  run.check = request.check;
  run.launch = [&](const Call& call) {
    const Variant variant{&op, call.spec, op.default_tunables(call.spec, request.traits, call.rows),
                          request.arch};
    const std::shared_ptr<const KernelBinary> binary = obtain_with_lines(builder, variant);
    const LoadedKernel kernel =
        implementation_of(runtime).device(device.ordinal()).load(binary, describe(variant));
    const auto sources = [&] {
      auto files = builder.templates().closure(op.include, op.sources);
      files.emplace_back("kernel.cu", builder.inputs(variant).source.text);
      return files;
    }();
    for (std::size_t stage = 0; stage <= op.later_stages.size(); ++stage) {
      const auto geometry_of = stage == 0 ? op.geometry : op.later_stages[stage - 1].geometry;
      const LaunchGeometry geometry = geometry_of(call.spec, variant.tunables, request.traits, call.rows);
      if (geometry.grid[0] == 0) {
        continue;
      }
      OpProfile& profile = profiles.emplace_back();
      profile.launch = recorder.record(device, kernel.functions[stage], geometry,
                                       implementation_of(runtime).starts_early(op, request.traits), call,
                                       describe(variant));
      profile.sources = sources;
      name_files(profile.launch, profile.sources);
    }
    return to_report(variant, *binary, builder);
  };
  const OpRunResult result = run_op(runtime, device, run);
  for (OpProfile& profile : profiles) {
    profile.report = result.report;
    profile.rows = result.rows;
    profile.checked = result.checked;
    profile.verdict = result.verdict;
    profile.read_bytes = bytes_of(run.inputs);
    profile.written_bytes = bytes_of(result.outputs);
  }
  return profiles;
}

}  // namespace kerncast::tools
