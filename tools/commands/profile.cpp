#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <optional>

#include "runtime/util/environment.hpp"
#include "tools/commands/command.hpp"
#include "tools/commands/op_workloads.hpp"
#include "tools/io/file.hpp"
#include "tools/io/usage_error.hpp"
#include "tools/model/settings.hpp"
#include "tools/model/workload.hpp"
#include "tools/profile/described_device.hpp"
#include "tools/profile/profile_page.hpp"
#include "tools/profile/profile_report.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* json_help =
    "Counts are exact. Times are estimates by an analytic model (runtime/devices/cost_model.hpp) and not "
    "measurements.\n"
    "--json prints {\"profiles\": [...]}, one for each launch (an op of several stages launches several), "
    "each "
    "with:\n"
    "  op spec label rows arch device tunables key checked ok max_error\n"
    "  kernel grid block registers spill_store_bytes spill_load_bytes static_shared_bytes\n"
    "  dynamic_shared_bytes occupancy{blocks_per_sm warps_per_sm fraction limit} read_bytes written_bytes\n"
    "  warp_instructions thread_instructions thread_utilisation divergent_branches barriers\n"
    "  global{loads stores atomics}, each {requests bytes sectors least_sectors ratio}\n"
    "  shared{requests bytes wavefronts least_wavefronts ratio} local{requests bytes}\n"
    "  units[{unit warp_instructions thread_instructions thread_utilisation}]\n"
    "  estimates[{device title fits occupancy estimate_us dependent_us limiting_factor waves\n"
    "    launch_overhead_us tail_us factors[{name us busiest_us}]}]\n"
    "  line_info lines[{file line counts}] instructions[{ptx_line file line text unit counts}]";

struct ProfileOptions {
  std::string op;
  std::string model;
  std::int64_t rows = 128;
  std::vector<std::string> settings;
  std::string arch;
  std::string device;
  std::string html;
  bool best_effort = false;
};

/// The architecture to compile for, and the device whose tunables and launch geometry are used.
struct Target {
  const devices::DeviceDescription* device = nullptr;
  std::string arch;
};

Target choose_target(const ProfileOptions& options) {
  if (!options.arch.empty()) {
    check_arch(options.arch);
  }
  Target target;
  if (!options.device.empty()) {
    target.device = &require_device_description(options.device);
  } else if (!options.arch.empty()) {
    target.device = devices::device_description_of(options.arch);
    if (target.device == nullptr) {
      throw UsageError(
          fmt::format("no described device has architecture {}; name the device to estimate for by --device",
                      options.arch));
    }
  } else {
    target.device = &require_device_description("h100");
  }
  target.arch = options.arch.empty() ? target.device->arch : options.arch;
  return target;
}

/// Options of a runtime on the virtual GPU (unless the user names another driver), with the kernel's
/// architecture.
RuntimeOptions virtual_gpu_options(CommandContext& context, const std::string& arch) {
  RuntimeOptions options = context.runtime_options();
  if (environment("KERNCAST_DRIVER").empty()) {
    options.driver = "sim";
  }
  const std::string plain = arch.substr(0, arch.find_last_of("0123456789") + 1);
  ::setenv("KERNCAST_SIM_ARCH", plain.c_str(), 1);
  // Counts need no device clock, whose device may be of another architecture.
  ::unsetenv("KERNCAST_SIM_CLOCK");
  ::unsetenv("KERNCAST_SIM_NOISE");
  return options;
}

int profile(CommandContext& context, const ProfileOptions& options) {
  if (options.rows < 1) {
    throw UsageError(fmt::format("--rows {}: a profile needs at least one row", options.rows));
  }
  const OpDefinition& op = require_op(options.op);
  const Target target = choose_target(options);
  const std::vector<Workload> workloads =
      choose_op_workloads(op, options.settings, options.model, options.best_effort, context.console);
  // Open the output first, so that one that cannot be written is reported before the work.
  context.prepare_output(options.html);
  std::optional<AtomicOutput> page_file;
  if (!options.html.empty()) {
    page_file.emplace(options.html);
  }

  Runtime runtime(virtual_gpu_options(context, target.arch));
  require_profiling(runtime);
  RunDevice device(runtime, 0);
  std::vector<ProfileReport> reports;
  std::size_t done = 0;
  for (const Workload& workload : workloads) {
    context.console.progress(done++, workloads.size(), op.name);
    OpProfileRequest request;
    request.op = &op;
    request.params = workload.params;
    request.scalars = workload.scalars;
    request.rows = options.rows;
    request.arch = target.arch;
    request.traits = {target.device->sm, target.device->sm_count, target.device->shared_bytes_per_block};
    for (OpProfile& stage : profile_op(runtime, device, request)) {
      reports.push_back(make_report(std::move(stage), workload.label, *target.device));
    }
  }
  context.console.end_progress();

  Json list = Json::array();
  std::string text;
  bool wrong = false;
  for (const ProfileReport& report : reports) {
    list.push_back(report_json(report));
    text += (text.empty() ? "" : "\n") + report_text(report);
    if (report.profile.checked && !report.profile.verdict.ok) {
      wrong = true;
      context.console.error(fmt::format("{} [{}]: wrong result: {}", report.profile.report.op,
                                        report.profile.report.spec, report.profile.verdict.detail));
    }
  }
  if (page_file) {
    const std::string page = profile_page(reports);
    page_file->write(page.data(), page.size());
    page_file->commit();
  }
  context.json ? print_json({{"profiles", list}}) : print(text);
  if (page_file && !context.json) {
    print("written to " + options.html + "\n");
  }
  return wrong ? exit_failed : exit_fine;
}

}  // namespace

void add_profile_command(const Command& root, CommandContext& context) {
  const Command command =
      root.add("profile",
               "Count what one launch of an op does on the virtual GPU, and estimate its time on real GPUs");
  const auto options = std::make_shared<ProfileOptions>();
  command.option("op", options->op, "Op, such as norm.rms_norm").required();
  command.option("--rows", options->rows, "Row (token) count").shows_default();
  command.option("--set", options->settings, "Parameters and scalars, such as hidden=7168; may be repeated")
      .value_name("NAME=VALUE");
  command.option("--model", options->model,
                 "Profile the op at each of its shapes in this model; --set overrides single values");
  command.flag("--best-effort", options->best_effort,
               "Also profile at the shapes of a model of unknown type, guessed from the names of its fields");
  command.option("--arch", options->arch, "Architecture to compile for; default: that of the device");
  command.option(
      "--device", options->device,
      "Device whose launch geometry and occupancy are used: a100, rtx4090, h100, h200 or b200; default: "
      "h100, or the first with the architecture of --arch. Times are estimated for all");
  command.option("--html", options->html, "Write one self-contained HTML page with a heat map by source line")
      .value_name("FILE");
  command.json_flag();
  command.footer(json_help);
  command.action([&context, options] { return profile(context, *options); });
}

}  // namespace kerncast::tools
