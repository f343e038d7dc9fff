#include "tools/tune/report/tune_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/io/html_text.hpp"
#include "tools/tune/report/tune_output.hpp"
#include "tools/tune/space/point.hpp"

namespace kerncast::tools {
namespace {

constexpr const char* page_style = R"(
:root { color-scheme: light dark; --ink: #1b2127; --muted: #57616b; --ground: #ffffff; --panel: #f3f5f7;
  --rule: #d5dbe1; --dot: #7d96b0; --best: #15803d; --own: #c2410c; --bound: #6d28d9; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --muted: #9aa5b0; --ground: #14181c; --panel: #1d2328; --rule: #38424c;
    --dot: #7088a0; --best: #4ade80; --own: #f08a4b; --bound: #a78bfa; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 1.8rem 0 0.3rem; overflow-wrap: anywhere; }
h3 { font-size: 0.9rem; margin: 0; }
p { margin: 0.3rem 0; }
.muted { color: var(--muted); font-weight: normal; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 0.5rem 1rem;
  background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: 0.75rem; margin: 0.8rem 0; }
dt { color: var(--muted); font-size: 0.8rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(21rem, 1fr)); gap: 0.8rem; }
figure { margin: 0; padding: 0.6rem; border: 1px solid var(--rule); border-left-width: 5px; border-radius: 6px; }
figure.gained { border-left-color: var(--best); }
figcaption { font-size: 0.82rem; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; }
svg text { font: 11px system-ui, sans-serif; fill: var(--muted); }
svg .own-text { fill: var(--own); }
svg .bound-text { fill: var(--bound); }
.axis { stroke: var(--rule); stroke-width: 1; }
.dot { fill: var(--dot); fill-opacity: 0.75; }
.beyond { fill: none; stroke: var(--dot); }
.best { fill: var(--best); }
.own { fill: var(--own); }
.own-line { stroke: var(--own); stroke-dasharray: 4 3; }
.bound-line { stroke: var(--bound); stroke-width: 2; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; font-size: 0.85rem; }
.key { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 50%; vertical-align: -0.1rem; }
)";

constexpr double chart_width = 420;
constexpr double chart_height = 170;
constexpr double margin_left = 44;
constexpr double margin_right = 8;
constexpr double margin_top = 10;
constexpr double margin_bottom = 22;

/// A dot of a chart.
struct Dot {
  double us = 0;
  std::string tunables;
};

std::vector<Dot> dots_of(const ReportedPoint& point) {
  std::vector<Dot> dots;
  for (const Trial& trial : point.trials) {
    if (trial.timed() && !trial.is_final) {
      // In multiples of the default in the same rounds, so that a drift between trials does not show.
      dots.push_back(
          {point.own_us > 0 ? trial.relative_time() * point.own_us : summarise(trial.samples_us).median_us,
           trial.tunables});
    }
  }
  return dots;
}

/// A chart ends at this multiple of the default's time, so that a slow trial does not press the others
/// together.
constexpr double most_shown = 2;
/// The least distance of two labels, in the units of the chart.
constexpr double label_distance = 12;

/// The scale of a chart: logarithmic, from a little below the least value to a little above the largest.
struct Scale {
  double low = 1;
  double high = 2;

  [[nodiscard]] double y(double us) const {
    const double part = std::log(us / low) / std::log(high / low);
    return chart_height - margin_bottom - part * (chart_height - margin_top - margin_bottom);
  }
};

Scale scale_of(const std::vector<Dot>& dots, const ReportedPoint& point) {
  double low = point.bound_us > 0 ? point.bound_us : dots.front().us;
  double high = low;
  for (const Dot& dot : dots) {
    low = std::min(low, dot.us);
    high = std::max(high, dot.us);
  }
  if (point.own_us > 0) {
    high = std::min(high, most_shown * point.own_us);
  }
  return {low * 0.95, std::max(high * 1.05, low * 1.2)};
}

std::string chart_line(double y, const char* kind) {
  return fmt::format("<line class=\"{}\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind,
                     margin_left, chart_width - margin_right, y, y);
}

std::string axis_label(double y, double us, const char* kind) {
  return fmt::format("<text class=\"{}\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.2f}</text>\n", kind,
                     margin_left - 4, y + 4, us);
}

/// The lines of the bound and of the default, with their times, and the time at the top.
std::string lines_of(const ReportedPoint& point, const Scale& scale) {
  std::string out = chart_line(chart_height - margin_bottom, "axis");
  double lowest_free = chart_height - margin_bottom;
  if (point.bound_us > 0) {
    const double y = scale.y(point.bound_us);
    out += chart_line(y, "bound-line") + axis_label(y, point.bound_us, "bound-text");
    lowest_free = y - label_distance;
  }
  if (point.own_us > 0) {
    const double y = scale.y(point.own_us);
    const double y_label = std::min(y, lowest_free);
    out += chart_line(y, "own-line") + axis_label(y_label, point.own_us, "own-text");
    lowest_free = y_label - label_distance;
  }
  return margin_top <= lowest_free ? out + axis_label(margin_top, scale.high, "top-text") : out;
}

/// The trials in the order in which they were made, from left to right; the times from bottom to top.
std::string chart(const ReportedPoint& point, const std::vector<Dot>& dots) {
  const Scale scale = scale_of(dots, point);
  std::string out =
      fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", chart_width, chart_height,
                  escape_html(fmt::format("{} trials of {} at {} rows", dots.size(), point.op, point.rows)));
  out += lines_of(point, scale);
  const double step = (chart_width - margin_left - margin_right - 10) /
                      static_cast<double>(std::max<std::size_t>(dots.size(), 2) - 1);
  std::string emphasised;
  for (std::size_t i = 0; i < dots.size(); ++i) {
    const bool won = dots[i].tunables == point.chosen;
    const bool own = dots[i].tunables == point.own;
    const bool beyond = dots[i].us > scale.high;
    std::string dot = fmt::format(
        "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}: {:.2f} µs</title></circle>\n",
        won      ? "best"
        : own    ? "own"
        : beyond ? "beyond"
                 : "dot",
        margin_left + 5 + step * static_cast<double>(i), scale.y(std::min(dots[i].us, scale.high)),
        won || own ? 4.5 : 2.6, escape_html(dots[i].tunables), dots[i].us);
    (won || own ? emphasised : out) += dot;
  }
  return out + emphasised +
         fmt::format("<text x=\"{}\" y=\"{}\">{} trials, in their order; µs</text>\n</svg>\n", margin_left,
                     chart_height - 6, dots.size());
}

/// "5.2 %", with its interval if it has one.
std::string saved_text(const PairedDifference& gain) {
  const std::string text = gain_text(gain);
  return text.starts_with('+') ? text.substr(1) : text;
}

std::string figure(const ReportedPoint& point) {
  const std::vector<Dot> dots = dots_of(point);
  if (dots.empty()) {
    return {};
  }
  const bool stays = point.chosen == point.own;
  const std::string verdict =
      stays ? fmt::format("The default stays at {:.2f} µs: {}", point.own_us, point.own)
            : fmt::format("{} takes {:.2f} µs and saves {} of the default's {:.2f} µs", point.chosen,
                          point.chosen_us, saved_text(point.gain), point.own_us);
  return fmt::format("<figure{}><h3>{} row{}{}</h3>\n{}<figcaption>{}.</figcaption></figure>\n",
                     stays ? "" : " class=\"gained\"", row_range_text(point.rows_low, point.rows_high),
                     point.rows_high == 1 ? "" : "s", point.is_current ? "" : ", stale", chart(point, dots),
                     escape_html(verdict));
}

std::string entry_of(std::string_view name, const std::string& value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape_html(name), escape_html(value));
}

}  // namespace

std::string tune_page(const TuneReport& report) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Tuning of {}</title>\n<style>{}</style>\n</head>\n<body>\n<h1>Tuning of {}</h1>\n",
      counted(report.points.size(), "point"), page_style, counted(report.points.size(), "point"));
  out +=
      "<p class=\"legend\"><span><span class=\"key\" style=\"background:var(--dot)\"></span> a trial (a "
      "ring: slower than the chart shows)</span>"
      "<span><span class=\"key\" style=\"background:var(--best)\"></span> the winner (a green edge: it is "
      "not the "
      "default)</span>"
      "<span><span class=\"key\" style=\"background:var(--own)\"></span> the default (dashed)</span>"
      "<span><span class=\"key\" style=\"background:var(--bound)\"></span> the least time that the memory "
      "allows (line)</span></p>\n<dl>\n";
  out += entry_of("mean gain", fmt::format("{:.1f} %", 100 * report.mean_gain));
  out += entry_of("the default won", fmt::format("at {} of {}", report.default_won, report.points.size()));
  if (report.several_buckets > 0) {
    out += entry_of("one choice for all buckets", fmt::format("{:.1f} % slower", 100 * report.bucket_regret));
  }
  out += "</dl>\n";
  std::string group;
  for (const ReportedPoint& point : report.points) {
    const std::string name = fmt::format(
        "{} <span class=\"muted\">{}, {}, {} {}</span>", escape_html(point.op), escape_html(point.spec),
        escape_html(point.arch), escape_html(point.source), escape_html(point.device));
    if (name != group) {
      out += fmt::format("{}<h2>{}</h2>\n<div class=\"charts\">\n", group.empty() ? "" : "</div>\n", name);
      group = name;
    }
    out += figure(point);
  }
  return out + (group.empty() ? "" : "</div>\n") + "</body>\n</html>\n";
}

}  // namespace kerncast::tools
