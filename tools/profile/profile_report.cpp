#include "tools/profile/profile_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "tools/profile/cost_input.hpp"

namespace kerncast::tools {
namespace {

std::string ratio(std::uint64_t moved, std::uint64_t least) {
  return moved == 0 && least == 0 ? "-" : fixed(ratio_to_least(moved, least), 3);
}

std::string percent(double share) {
  return fixed(100 * share, 1);
}

std::string check_text(const OpProfile& profile) {
  if (!profile.checked) {
    return "no reference";
  }
  return profile.verdict.ok ? fmt::format("right, max error {}", fixed(profile.verdict.max_error, 3))
                            : fmt::format("WRONG: {}", profile.verdict.detail);
}

std::string occupancy_text(const ProfileReport& report) {
  const devices::Occupancy& occupancy = own_estimate(report).occupancy;
  if (occupancy.blocks_per_sm == 0) {
    return fmt::format("a block does not fit on {} ({})", report.device->name, occupancy.limit);
  }
  return fmt::format("{} % of {}: {} blocks, {} warps per SM, limited by {}", percent(occupancy.fraction),
                     report.device->name, occupancy.blocks_per_sm, occupancy.warps_per_sm, occupancy.limit);
}

std::string summary_text(const ProfileReport& report) {
  const OpProfile& profile = report.profile;
  const LaunchProfile& launch = profile.launch;
  const KernelReport& kernel = profile.report;
  const KerncastSimCounts total = total_counts(launch);
  Table table({{"op"}, {kernel.op}});
  table.add_row({"specialisation", kernel.spec});
  if (!report.label.empty()) {
    table.add_row({"in the model", report.label});
  }
  table.add_row({"rows", grouped(static_cast<std::uint64_t>(profile.rows))});
  table.add_row({"result", check_text(profile)});
  table.add_row({"kernel", launch.kernel});
  table.add_row({"compiled for", fmt::format("{} ({})", kernel.arch, report.device->title)});
  table.add_row({"tunables", kernel.tunables});
  table.add_row({"grid", extent(launch.grid)});
  table.add_row({"block", extent(launch.block)});
  table.add_row({"registers", fmt::format("{} per thread", kernel.registers)});
  table.add_row({"spills", fmt::format("{} bytes stored, {} loaded", kernel.spill_store_bytes,
                                       kernel.spill_load_bytes)});
  table.add_row({"shared memory", fmt::format("{} static, {} dynamic", human_bytes(launch.static_shared),
                                              human_bytes(launch.dynamic_shared))});
  table.add_row({"occupancy", occupancy_text(report)});
  table.add_row({"warp instructions", grouped(total.warp_instructions)});
  table.add_row({"thread instructions", grouped(total.thread_instructions)});
  table.add_row({"thread utilisation", percent(thread_utilisation(total)) + " %"});
  table.add_row({"divergent branches", grouped(total.divergent)});
  table.add_row({"barriers", fmt::format("{} warp instructions",
                                         grouped(counts_of_unit(launch, "barrier").warp_instructions))});
  return table.text();
}

std::string memory_text(const LaunchProfile& launch) {
  const GlobalTraffic traffic = global_traffic(launch);
  const KerncastSimCounts total = total_counts(launch);
  Table table({{"memory"},
               {"requests", Align::right},
               {"bytes", Align::right},
               {"moved", Align::right},
               {"least", Align::right},
               {"ratio", Align::right},
               {"counted in"}});
  const auto global = [&](const char* name, const KerncastSimCounts& counts) {
    table.add_row({name, grouped(counts.global_requests), grouped(counts.global_bytes),
                   grouped(counts.global_sectors), grouped(counts.global_least_sectors),
                   ratio(counts.global_sectors, counts.global_least_sectors), "sectors of 32 bytes"});
  };
  global("global loads", traffic.loads);
  global("global stores", traffic.stores);
  global("global atomics", traffic.atomics);
  table.add_row({"shared", grouped(total.shared_requests), grouped(total.shared_bytes),
                 grouped(total.shared_wavefronts), grouped(total.shared_least_wavefronts),
                 ratio(total.shared_wavefronts, total.shared_least_wavefronts), "wavefronts of 128 bytes"});
  table.add_row({"local", grouped(total.local_requests), grouped(total.local_bytes)});
  return table.text();
}

std::string units_text(const LaunchProfile& launch) {
  const auto all = static_cast<double>(total_counts(launch).warp_instructions);
  Table table({{"instructions"},
               {"warp", Align::right},
               {"share %", Align::right},
               {"thread", Align::right},
               {"utilisation %", Align::right}});
  for (const UnitCounts& unit : counts_by_unit(launch)) {
    table.add_row({unit.unit, grouped(unit.counts.warp_instructions),
                   percent(static_cast<double>(unit.counts.warp_instructions) / all),
                   grouped(unit.counts.thread_instructions), percent(thread_utilisation(unit.counts))});
  }
  return table.text();
}

std::string estimates_text(const ProfileReport& report) {
  Table table({{"device"},
               {"estimate µs", Align::right},
               {"dependent µs", Align::right},
               {"limiting factor"},
               {"its µs", Align::right},
               {"next"},
               {"its µs", Align::right},
               {"tail µs", Align::right},
               {"launch µs", Align::right},
               {"waves", Align::right},
               {"occupancy %", Align::right}});
  for (const devices::Estimate& estimate : report.estimates) {
    if (!estimate.fits) {
      table.add_row({estimate.device->name, "-", "-", "a block does not fit"});
      continue;
    }
    std::vector<devices::CostFactor> factors = estimate.factors;
    factors.push_back({std::string(devices::tail_name), estimate.tail_us, estimate.tail_us});
    factors.push_back({std::string(devices::launch_overhead_name), estimate.launch_overhead_us,
                       estimate.launch_overhead_us});
    // The limiting factor comes first, even if others are equal to it.
    std::stable_sort(factors.begin(), factors.end(),
                     [&](const devices::CostFactor& a, const devices::CostFactor& b) {
                       return std::pair(a.name != estimate.limiting_factor, b.us) <
                              std::pair(b.name != estimate.limiting_factor, a.us);
                     });
    table.add_row({estimate.device->name, microseconds(estimate.total_us),
                   estimate.dependent_us < estimate.total_us ? microseconds(estimate.dependent_us) : "-",
                   factors[0].name, microseconds(factors[0].us), factors[1].name, microseconds(factors[1].us),
                   microseconds(estimate.tail_us), microseconds(estimate.launch_overhead_us),
                   grouped(estimate.waves), percent(estimate.occupancy.fraction)});
  }
  return table.text();
}

Json to_json(const KerncastSimCounts& counts) {
  return {{"warp_instructions", counts.warp_instructions},
          {"thread_instructions", counts.thread_instructions},
          {"divergent", counts.divergent},
          {"global_requests", counts.global_requests},
          {"global_bytes", counts.global_bytes},
          {"global_sectors", counts.global_sectors},
          {"global_least_sectors", counts.global_least_sectors},
          {"local_requests", counts.local_requests},
          {"local_bytes", counts.local_bytes},
          {"shared_requests", counts.shared_requests},
          {"shared_bytes", counts.shared_bytes},
          {"shared_wavefronts", counts.shared_wavefronts},
          {"shared_least_wavefronts", counts.shared_least_wavefronts}};
}

Json global_json(const KerncastSimCounts& counts) {
  return {{"requests", counts.global_requests},
          {"bytes", counts.global_bytes},
          {"sectors", counts.global_sectors},
          {"least_sectors", counts.global_least_sectors},
          {"ratio", ratio_to_least(counts.global_sectors, counts.global_least_sectors)}};
}

Json to_json(const devices::Occupancy& occupancy) {
  return {{"blocks_per_sm", occupancy.blocks_per_sm},
          {"warps_per_sm", occupancy.warps_per_sm},
          {"fraction", occupancy.fraction},
          {"limit", occupancy.limit}};
}

Json to_json(const devices::Estimate& estimate) {
  Json json = {{"device", estimate.device->name},
               {"title", estimate.device->title},
               {"fits", estimate.fits},
               {"occupancy", to_json(estimate.occupancy)}};
  if (!estimate.fits) {
    return json;
  }
  json["estimate_us"] = estimate.total_us;
  json["dependent_us"] = estimate.dependent_us;
  json["limiting_factor"] = estimate.limiting_factor;
  json["waves"] = estimate.waves;
  json["launch_overhead_us"] = estimate.launch_overhead_us;
  json["tail_us"] = estimate.tail_us;
  json["factors"] = Json::array();
  for (const devices::CostFactor& factor : estimate.factors) {
    json["factors"].push_back({{"name", factor.name}, {"us", factor.us}, {"busiest_us", factor.busiest_us}});
  }
  return json;
}

}  // namespace

ProfileReport make_report(OpProfile profile, std::string label, const devices::DeviceDescription& device) {
  ProfileReport report{std::move(profile), std::move(label), &device, {}};
  const devices::CostInput input = cost_input(report.profile.launch, report.profile.report.registers,
                                              report.profile.read_bytes, report.profile.written_bytes);
  for (const devices::DeviceDescription& described : devices::device_descriptions()) {
    report.estimates.push_back(devices::estimate_cost(input, described));
  }
  return report;
}

const devices::Estimate& own_estimate(const ProfileReport& report) {
  const auto found = std::find_if(
      report.estimates.begin(), report.estimates.end(),
      [&](const devices::Estimate& estimate) { return estimate.device->name == report.device->name; });
  if (found == report.estimates.end()) {
    throw std::logic_error("a report without an estimate for its own device");
  }
  return *found;
}

std::string report_text(const ProfileReport& report) {
  const LaunchProfile& launch = report.profile.launch;
  return fmt::format("{}\n{}\n{}\n{}An estimate from the counts of the {} kernel, not a measurement.\n",
                     summary_text(report), memory_text(launch), units_text(launch), estimates_text(report),
                     report.profile.report.arch);
}

Json report_json(const ProfileReport& report) {
  const OpProfile& profile = report.profile;
  const LaunchProfile& launch = profile.launch;
  const KernelReport& kernel = profile.report;
  const KerncastSimCounts total = total_counts(launch);
  const GlobalTraffic traffic = global_traffic(launch);
  Json json = {{"op", kernel.op},
               {"spec", kernel.spec},
               {"label", report.label},
               {"rows", profile.rows},
               {"arch", kernel.arch},
               {"device", report.device->name},
               {"tunables", kernel.tunables},
               {"key", kernel.key}};
  json["checked"] = profile.checked;
  json["ok"] = !profile.checked || profile.verdict.ok;
  json["max_error"] =
      profile.checked && std::isfinite(profile.verdict.max_error) ? Json(profile.verdict.max_error) : Json();
  json["kernel"] = launch.kernel;
  json["grid"] = launch.grid;
  json["block"] = launch.block;
  json["registers"] = kernel.registers;
  json["spill_store_bytes"] = kernel.spill_store_bytes;
  json["spill_load_bytes"] = kernel.spill_load_bytes;
  json["static_shared_bytes"] = launch.static_shared;
  json["dynamic_shared_bytes"] = launch.dynamic_shared;
  json["occupancy"] = to_json(own_estimate(report).occupancy);
  json["read_bytes"] = profile.read_bytes;
  json["written_bytes"] = profile.written_bytes;
  json["warp_instructions"] = total.warp_instructions;
  json["thread_instructions"] = total.thread_instructions;
  json["thread_utilisation"] = thread_utilisation(total);
  json["divergent_branches"] = total.divergent;
  json["barriers"] = counts_of_unit(launch, "barrier").warp_instructions;
  json["global"] = {{"loads", global_json(traffic.loads)},
                    {"stores", global_json(traffic.stores)},
                    {"atomics", global_json(traffic.atomics)}};
  json["shared"] = {{"requests", total.shared_requests},
                    {"bytes", total.shared_bytes},
                    {"wavefronts", total.shared_wavefronts},
                    {"least_wavefronts", total.shared_least_wavefronts},
                    {"ratio", ratio_to_least(total.shared_wavefronts, total.shared_least_wavefronts)}};
  json["local"] = {{"requests", total.local_requests}, {"bytes", total.local_bytes}};
  json["units"] = Json::array();
  for (const UnitCounts& unit : counts_by_unit(launch)) {
    json["units"].push_back({{"unit", unit.unit},
                             {"warp_instructions", unit.counts.warp_instructions},
                             {"thread_instructions", unit.counts.thread_instructions},
                             {"thread_utilisation", thread_utilisation(unit.counts)}});
  }
  json["estimates"] = Json::array();
  for (const devices::Estimate& estimate : report.estimates) {
    json["estimates"].push_back(to_json(estimate));
  }
  json["line_info"] = has_line_info(launch);
  json["lines"] = Json::array();
  for (const LineCounts& line : counts_by_line(launch)) {
    json["lines"].push_back({{"file", line.file}, {"line", line.line}, {"counts", to_json(line.counts)}});
  }
  json["instructions"] = Json::array();
  for (const ProfiledInstruction& instruction : launch.instructions) {
    json["instructions"].push_back({{"ptx_line", instruction.ptx_line},
                                    {"file", instruction.source_file},
                                    {"line", instruction.source_line},
                                    {"text", instruction.text},
                                    {"unit", instruction.unit},
                                    {"counts", to_json(instruction.counts)}});
  }
  return json;
}

std::string grouped(std::uint64_t value) {
  std::string text = std::to_string(value);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string microseconds(double us) {
  if (us >= 999.5) {
    return grouped(static_cast<std::uint64_t>(std::llround(us)));
  }
  const int decimals = us < 0.9995 ? 3 : us < 9.995 ? 2 : us < 99.95 ? 1 : 0;
  return fixed(us, decimals);
}

std::string extent(const std::array<std::uint32_t, 3>& size) {
  return fmt::format("{}x{}x{}", size[0], size[1], size[2]);
}

}  // namespace kerncast::tools
