#include "cache/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "cache/counters.hpp"
#include "runtime/util/printable.hpp"

namespace kerncast::cache {
namespace {

constexpr std::uint64_t us_per_second = 1'000'000;

struct Metric {
  std::string_view name;  ///< without the prefix
  std::string_view help;  ///< empty: another sample of the metric before
  std::uint64_t CacheCounters::* value;
  const char* layer = nullptr;  ///< value of the label of that name; null: none
};

constexpr std::array<Metric, counter_fields.size()> metrics{{
    {"hits_total", "Look-ups that a layer of the cache served.", &CacheCounters::memory_hits, "memory"},
    {"hits_total", "", &CacheCounters::directory_hits, "directory"},
    {"hits_total", "", &CacheCounters::read_only_hits, "read_only"},
    {"hits_total", "", &CacheCounters::remote_hits, "remote"},
    {"misses_total", "Look-ups that no layer could serve.", &CacheCounters::misses},
    {"compiles_total", "Kernels that were compiled.", &CacheCounters::compiles},
    {"waits_total", "Waits for another process that compiled the same kernel.", &CacheCounters::waits},
    {"promotions_total", "Hits of a lower layer that were written to the directory.",
     &CacheCounters::promoted},
    {"publishes_total", "Entries that were written to the directory after a compile or an import.",
     &CacheCounters::published},
    {"publish_failures_total", "Entries that could not be written to the directory.",
     &CacheCounters::failed_publishes},
    {"quarantined_total", "Unusable files that were found in the directory.", &CacheCounters::quarantined},
    {"refusals_total", "Entries of read-only layers and of the server that were not used.",
     &CacheCounters::refused},
    {"remote_uploads_total", "Entries that were uploaded to the server.", &CacheCounters::remote_puts},
    {"remote_failures_total", "Requests to the server that failed.", &CacheCounters::remote_failures},
    {"evictions_total", "Entries that were removed to keep the budget.", &CacheCounters::evicted},
    {"evicted_bytes_total", "Size of the entries that were removed to keep the budget.",
     &CacheCounters::evicted_bytes},
    {"read_bytes_total", "Cubin and PTX of hits below memory.", &CacheCounters::bytes_read},
    {"written_bytes_total", "Cubin and PTX of entries that were written to the directory.",
     &CacheCounters::bytes_written},
    {"load_seconds_total", "Time of hits below memory.", &CacheCounters::load_us},
    {"compile_seconds_total", "Time of compiles.", &CacheCounters::compile_us},
    {"wait_seconds_total", "Time of waits for other processes.", &CacheCounters::wait_us},
    {"leases_total", "Compiles under a lease of the server.", &CacheCounters::leases},
    {"lease_hits_total", "Kernels that another machine compiled while this one waited for its lease.",
     &CacheCounters::lease_hits},
    {"lease_wait_seconds_total", "Time of waits for other machines.", &CacheCounters::lease_wait_us},
}};

constexpr bool has_metric(const CounterField& field) {
  return std::any_of(metrics.begin(), metrics.end(),
                     [&](const Metric& metric) { return metric.value == field.value; });
}
static_assert(std::all_of(counter_fields.begin(), counter_fields.end(), has_metric));

/// `value` for a label. Prometheus refuses a whole text with bytes that are not UTF-8.
std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : printable(value)) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || c == '"') {
      out += {'\\', c};
    } else {
      out += c;
    }
  }
  return out;
}

std::string label_text(const MetricLabels& labels, const char* layer) {
  std::string out;
  const auto add = [&](std::string_view name, std::string_view value) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "{" : ",", name, escaped(value));
  };
  for (const auto& [name, value] : labels) {
    add(name, value);
  }
  if (layer != nullptr) {
    add("layer", layer);
  }
  return out.empty() ? out : out + "}";
}

std::string value_text(const Metric& metric, std::uint64_t value) {
  return metric.name.ends_with("_seconds_total")
             ? fmt::format("{}.{:06}", value / us_per_second, value % us_per_second)
             : fmt::format("{}", value);
}

}  // namespace

std::string prometheus_text(const CacheCounters& counters, const MetricLabels& labels) {
  std::string out;
  for (const Metric& metric : metrics) {
    if (!metric.help.empty()) {
      out += fmt::format("# HELP kerncast_cache_{0} {1}\n# TYPE kerncast_cache_{0} counter\n", metric.name,
                         metric.help);
    }
    out += fmt::format("kerncast_cache_{}{} {}\n", metric.name, label_text(labels, metric.layer),
                       value_text(metric, counters.*metric.value));
  }
  return out;
}

}  // namespace kerncast::cache
