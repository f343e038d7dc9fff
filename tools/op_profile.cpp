#include "tools/op_profile.hpp"

#include <fmt/format.h>

#include "runtime/dispatch/runtime_parts.hpp"
#include "runtime/driver/driver_error.hpp"

namespace kerncast::tools {
namespace {

template <class Function>
Function* find_symbol(const Runtime& runtime, const char* name) {
  return reinterpret_cast<Function*>(runtime.driver_symbol(name));
}

/// The virtual GPU's recording functions.
struct Recorder {
  explicit Recorder(const Runtime& runtime)
      : set_recording(find_symbol<decltype(kerncastSimProfile)>(runtime, "kerncastSimProfile")),
        count(find_symbol<decltype(kerncastSimProfileCount)>(runtime, "kerncastSimProfileCount")),
        launch(find_symbol<decltype(kerncastSimProfileLaunch)>(runtime, "kerncastSimProfileLaunch")) {
    if (set_recording == nullptr || count == nullptr || launch == nullptr) {
      throw Error(
          ErrorCode::unsupported,
          "the driver in use counts no launches; profiles need the virtual GPU: set KERNCAST_DRIVER=sim");
    }
  }

  decltype(kerncastSimProfile)* set_recording;
  decltype(kerncastSimProfileCount)* count;
  decltype(kerncastSimProfileLaunch)* launch;
};

/// Records for a scope.
class Recording {
 public:
  explicit Recording(const Recorder& recorder) : recorder_(recorder) { recorder_.set_recording(1); }
  ~Recording() { recorder_.set_recording(0); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  const Recorder& recorder_;
};

std::shared_ptr<const KernelBinary> obtain_with_lines(KernelBuilder& builder, const Variant& variant) {
  if (builder.nvrtc().nvrtc != nullptr) {
    return builder.obtain(variant, BuildPolicy::compile_aside_with_lines);
  }
  return builder.obtain(variant, BuildPolicy::cached_or_compile);
}

void launch_once(const RunDevice& device, void* function, const LaunchGeometry& geometry, const Call& call,
                 const std::string& what) {
  driver::CUlaunchConfig config{};
  config.gridDimX = geometry.grid[0];
  config.gridDimY = geometry.grid[1];
  config.gridDimZ = geometry.grid[2];
  config.blockDimX = geometry.block[0];
  config.blockDimY = geometry.block[1];
  config.blockDimZ = geometry.block[2];
  config.sharedMemBytes = geometry.dynamic_shared;
  void* arguments[] = {const_cast<std::byte*>(call.arguments.data())};
  driver::check(
      device.api(),
      device.api().cuLaunchKernelEx(&config, static_cast<driver::CUfunction>(function), arguments, nullptr),
      fmt::format("launching {}", what));
  device.synchronize();
}

/// Line info names the files by where the compiler ran; they are what they are called in `sources`.
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
  static_cast<void>(Recorder(runtime));
}

std::vector<OpProfile> profile_op(Runtime& runtime, RunDevice& device, const OpProfileRequest& request) {
  const OpDefinition& op = *request.op;
  const Recorder recorder(runtime);
  KernelBuilder& builder = runtime.parts().builder;
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
    const LoadedKernel kernel = runtime.parts().device(device.ordinal()).load(binary, describe(variant));
    const auto sources = [&] {
      auto files = builder.templates().closure(op.include, op.sources);
      files.emplace_back("kernel.cu", builder.source(variant).text);
      return files;
    }();
    for (std::size_t stage = 0; stage <= op.later_stages.size(); ++stage) {
      const auto geometry_of = stage == 0 ? op.geometry : op.later_stages[stage - 1].geometry;
      const LaunchGeometry geometry = geometry_of(call.spec, variant.tunables, request.traits, call.rows);
      if (geometry.grid[0] == 0) {
        continue;
      }
      {
        const Recording recording(recorder);
        launch_once(device, kernel.functions[stage], geometry, call, describe(variant));
      }
      const KerncastSimLaunch* launch = recorder.count() == 1 ? recorder.launch(0) : nullptr;
      if (launch == nullptr) {
        throw Error(ErrorCode::internal,
                    fmt::format("the virtual GPU recorded {} launches of {} in place of one",
                                recorder.count(), describe(variant)));
      }
      OpProfile& profile = profiles.emplace_back();
      profile.launch = copy_launch(*launch);
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
