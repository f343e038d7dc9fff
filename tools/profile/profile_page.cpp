#include "tools/profile/profile_page.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/io/html_text.hpp"
#include "tools/profile/profile_heat_map.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* style = R"(
:root { color-scheme: light dark; --ink: #1b2127; --muted: #57616b; --ground: #ffffff; --panel: #f3f5f7;
  --rule: #d5dbe1; --bar: #2b6cb0; --least: #93b4d6; --limit: #c2410c; --hot: 234, 88, 12; --heat-most: 0.65; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --muted: #9aa5b0; --ground: #14181c; --panel: #1d2328; --rule: #38424c;
    --bar: #5b9bd8; --least: #35597d; --limit: #f08a4b; --hot: 234, 108, 32; --heat-most: 0.6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 0.5rem; }
h3 { font-size: 0.95rem; margin: 1rem 0 0.3rem; }
p { margin: 0.3rem 0; }
article + article { margin-top: 3rem; border-top: 2px solid var(--rule); padding-top: 2rem; }
.muted { color: var(--muted); font-weight: normal; }
.limit { color: var(--limit); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 0.5rem 1rem;
  background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: 0.75rem; margin: 0.8rem 0; }
dt { color: var(--muted); font-size: 0.8rem; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.row { display: grid; grid-template-columns: 10rem 1fr 15rem; gap: 0.1rem 0.75rem; align-items: center;
  padding: 0.15rem 0; }
.row .value { font-variant-numeric: tabular-nums; }
.track { display: block; }
.bar { display: block; height: 0.8rem; min-width: 1px; border-radius: 2px; background: var(--bar); }
.bar + .bar { margin-top: 2px; }
.bar.least { background: var(--least); }
.bar.limit { background: var(--limit); }
.key { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 2px; vertical-align: -0.1rem;
  background: var(--bar); }
.key.least { background: var(--least); }
.key.limit { background: var(--limit); }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; padding: 0.3rem 0; overflow-wrap: anywhere; }
table.heat { border-collapse: collapse; width: 100%; font: 12.5px/1.4 ui-monospace, monospace;
  font-variant-numeric: tabular-nums; }
.heat th { text-align: right; font-weight: 600; color: var(--muted); background: var(--panel); padding: 0.3rem 0.5rem; }
.heat td { text-align: right; padding: 0 0.5rem; white-space: nowrap;
  background: rgba(var(--hot), calc(var(--heat, 0) * var(--heat-most))); }
.heat .code { text-align: left; white-space: pre; width: 99%; }
.heat .idle, .heat .gap { color: var(--muted); }
.heat .gap td { text-align: left; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 0.85rem; }
@media (max-width: 40rem) {
  .row { grid-template-columns: 1fr auto; padding: 0.25rem 0; }
  .row .track { grid-column: 1 / -1; grid-row: 2; }
}
)";

std::string bar(double value, double most, const char* kind = "") {
  return fmt::format("<span class=\"bar{}{}\" style=\"width:{:.2f}%\"></span>", *kind == '\0' ? "" : " ",
                     kind, most > 0 ? 100 * value / most : 0.0);
}

std::string row(std::string_view name, const std::string& bars, const std::string& value) {
  return fmt::format(
      "<div class=\"row\"><span>{}</span><span class=\"track\" aria-hidden=\"true\">{}</span>"
      "<span class=\"value\">{}</span></div>\n",
      escape_html(name), bars, escape_html(value));
}

std::string entry(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escape_html(name), escape_html(value));
}

/// The estimate of a launch that starts while the kernel before it ends; empty if the device has no such
/// launches.
std::string dependent_text(const devices::Estimate& estimate) {
  return estimate.dependent_us < estimate.total_us
             ? fmt::format(" ({} µs as a dependent launch)", microseconds(estimate.dependent_us))
             : std::string();
}

std::string header(const ProfileReport& report) {
  const OpProfile& profile = report.profile;
  const KernelReport& kernel = profile.report;
  const KerncastSimCounts total = total_counts(profile.launch);
  const devices::Estimate& estimate = own_estimate(report);
  std::string out = fmt::format(
      "<header><h1>{} <span class=\"muted\">{}</span></h1>\n<p>{} rows, compiled for {} ({}){}</p>\n",
      escape_html(kernel.op), escape_html(kernel.spec), grouped(static_cast<std::uint64_t>(profile.rows)),
      escape_html(kernel.arch), escape_html(report.device->title),
      report.label.empty() ? std::string() : ", in the model: " + escape_html(report.label));
  if (profile.checked && !profile.verdict.ok) {
    out += fmt::format("<p class=\"limit\"><strong>The result is wrong:</strong> {}</p>\n",
                       escape_html(profile.verdict.detail));
  }
  if (estimate.fits) {
    out += fmt::format("<p>Estimate: <strong>{} µs</strong>{}, limited by <strong>{}</strong>.</p>\n",
                       microseconds(estimate.total_us), dependent_text(estimate),
                       escape_html(estimate.limiting_factor));
  }
  out += "<dl>";
  out += entry("grid × block", extent(profile.launch.grid) + " × " + extent(profile.launch.block));
  out += entry("registers per thread", fmt::format("{}", kernel.registers));
  out += entry("spills",
               fmt::format("{} B stored, {} B loaded", kernel.spill_store_bytes, kernel.spill_load_bytes));
  out +=
      entry("shared memory", fmt::format("{} static, {} dynamic", human_bytes(profile.launch.static_shared),
                                         human_bytes(profile.launch.dynamic_shared)));
  out += entry("occupancy",
               estimate.fits ? fmt::format("{} %, limited by {}", fixed(100 * estimate.occupancy.fraction, 1),
                                           estimate.occupancy.limit)
                             : std::string("a block does not fit"));
  out += entry("warp instructions", grouped(total.warp_instructions));
  out += entry("thread instructions", grouped(total.thread_instructions));
  out += entry("thread utilisation", fixed(100 * thread_utilisation(total), 1) + " %");
  out += entry("divergent branches", grouped(total.divergent));
  out += entry("barriers", grouped(counts_of_unit(profile.launch, "barrier").warp_instructions));
  out += entry("tunables", kernel.tunables);
  return out + "</dl></header>\n";
}

std::string units_section(const LaunchProfile& launch) {
  const std::vector<UnitCounts> units = counts_by_unit(launch);
  const auto all = static_cast<double>(total_counts(launch).warp_instructions);
  std::string out = "<section><h2>Warp instructions by class</h2>\n";
  for (const UnitCounts& unit : units) {
    const auto count = static_cast<double>(unit.counts.warp_instructions);
    out += row(unit.unit, bar(count, static_cast<double>(units.front().counts.warp_instructions)),
               fmt::format("{} ({} %)", grouped(unit.counts.warp_instructions), fixed(100 * count / all, 1)));
  }
  return out + "</section>\n";
}

/// A row with two bars: what was moved, and below it the least that would have sufficed.
std::string moved_row(std::string_view name, std::uint64_t moved, std::uint64_t least, std::uint64_t most) {
  const auto scale = static_cast<double>(most);
  return row(
      name, bar(static_cast<double>(moved), scale) + bar(static_cast<double>(least), scale, "least"),
      fmt::format("{} / {} = {}", grouped(moved), grouped(least), fixed(ratio_to_least(moved, least), 3)));
}

std::string memory_section(const LaunchProfile& launch) {
  const GlobalTraffic traffic = global_traffic(launch);
  const KerncastSimCounts total = total_counts(launch);
  const std::pair<const char*, const KerncastSimCounts*> kinds[] = {
      {"loads", &traffic.loads}, {"stores", &traffic.stores}, {"atomics", &traffic.atomics}};
  std::uint64_t most = 0;
  for (const auto& [name, counts] : kinds) {
    most = std::max(most, counts->global_sectors);
  }
  std::string out =
      "<section><h2>Global memory: sectors of 32 bytes</h2>\n<p class=\"legend muted\"><span><span "
      "class=\"key\">"
      "</span> moved</span><span><span class=\"key least\"></span> least that hold the bytes asked "
      "for</span></p>\n";
  for (const auto& [name, counts] : kinds) {
    if (counts->global_requests > 0) {
      out += moved_row(name, counts->global_sectors, counts->global_least_sectors, most);
    }
  }
  out += most == 0 ? "<p class=\"muted\">none</p>" : "";
  out += "</section>\n<section><h2>Shared memory: wavefronts</h2>\n";
  out += total.shared_requests == 0
             ? std::string("<p class=\"muted\">none</p>")
             : moved_row("all", total.shared_wavefronts, total.shared_least_wavefronts,
                         std::max(total.shared_wavefronts, total.shared_least_wavefronts));
  return out + "</section>\n";
}

/// The factors of one estimate, on a scale where `most` microseconds fill the track.
std::string factor_rows(const devices::Estimate& estimate, double most) {
  std::vector<devices::CostFactor> factors = estimate.factors;
  factors.push_back({std::string(devices::tail_name), estimate.tail_us, estimate.tail_us});
  factors.push_back(
      {std::string(devices::launch_overhead_name), estimate.launch_overhead_us, estimate.launch_overhead_us});
  std::string out;
  for (const devices::CostFactor& factor : factors) {
    if (factor.us > 0) {
      out += row(factor.name, bar(factor.us, most, factor.name == estimate.limiting_factor ? "limit" : ""),
                 microseconds(factor.us) + " µs");
    }
  }
  return out;
}

std::string estimates_section(const ProfileReport& report) {
  double most_total = 0;
  double most_factor = 0;
  for (const devices::Estimate& estimate : report.estimates) {
    most_total = std::max(most_total, estimate.total_us);
    most_factor = std::max({most_factor, estimate.tail_us, estimate.launch_overhead_us});
    for (const devices::CostFactor& factor : estimate.factors) {
      most_factor = std::max(most_factor, factor.us);
    }
  }
  std::string out = fmt::format(
      "<section><h2>Estimated time by device</h2>\n<p class=\"muted\">An estimate from the counts of the {} "
      "kernel, not a measurement: launch overhead, the largest of the other factors, and the tail, "
      "together.</p>\n",
      escape_html(report.profile.report.arch));
  std::string breakdown;
  for (const devices::Estimate& estimate : report.estimates) {
    const std::string& name = estimate.device->name;
    if (!estimate.fits) {
      out += row(name, "", "a block does not fit");
      continue;
    }
    out += row(name, bar(estimate.total_us, most_total),
               fmt::format("{} µs{}, {}", microseconds(estimate.total_us), dependent_text(estimate),
                           estimate.limiting_factor));
    breakdown += fmt::format(
        "<details{}><summary>{} <span class=\"muted\">estimate {} µs</span></summary>\n{}</details>\n",
        estimate.device == report.device ? " open" : "", escape_html(estimate.device->title),
        microseconds(estimate.total_us), factor_rows(estimate, most_factor));
  }
  out +=
      "<h3>By factor</h3>\n<p class=\"legend muted\"><span><span class=\"key limit\"></span> limiting "
      "factor</span><span>one scale for all devices</span></p>\n";
  return out + breakdown + "</section>\n";
}

std::string article(const ProfileReport& report) {
  const bool lines = has_line_info(report.profile.launch);
  return fmt::format("<article>\n{}{}{}{}<section><h2>Heat map by {} line</h2>\n{}</section>\n</article>\n",
                     header(report), units_section(report.profile.launch),
                     memory_section(report.profile.launch), estimates_section(report),
                     lines ? "source" : "PTX", heat_map(report.profile));
}

}  // namespace

std::string profile_page(const std::vector<ProfileReport>& reports) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Profile of "
      "{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n",
      reports.empty() ? std::string("nothing") : escape_html(reports.front().profile.report.op), style);
  for (const ProfileReport& report : reports) {
    out += article(report);
  }
  return out + "</body>\n</html>\n";
}

}  // namespace kerncast::tools
