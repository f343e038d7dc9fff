#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/cache_counters.hpp"

namespace kerncast::cache {

/// Names and values of labels, such as {"pid", "1234"}. A name consists of lower-case letters.
using MetricLabels = std::vector<std::pair<std::string, std::string>>;

/// `counters` in the text format of Prometheus (version 0.0.4), which OpenMetrics scrapers read too: for each
/// metric its HELP and TYPE line and its samples. Times are in seconds. Every sample has `labels`, which are
/// escaped, and which tell the series of several sources apart.
[[nodiscard]] std::string prometheus_text(const CacheCounters& counters, const MetricLabels& labels = {});

}  // namespace kerncast::cache
