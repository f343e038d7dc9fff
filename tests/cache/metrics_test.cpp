// Counters as text for Prometheus.
#include "cache/metrics.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "cache/counters.hpp"
#include "tests/prometheus_text.hpp"

using namespace kerncast::cache;
using kerncast::CacheCounters;

TEST_CASE("every counter is one sample under its name") {
  CacheCounters counters;
  std::uint64_t value = 1;
  for (const CounterField& field : counter_fields) {
    counters.*field.value = value *= 5;
  }
  const PrometheusText text(prometheus_text(counters));
  CHECK(text.size() == counter_fields.size());
  const auto count = [&](const std::string& name) { return text.value("kerncast_cache_" + name + "_total"); };
  const auto hits = [&](const std::string& layer) {
    return text.value("kerncast_cache_hits_total", {{"layer", layer}});
  };
  CHECK(hits("memory") == std::to_string(counters.memory_hits));
  CHECK(hits("directory") == std::to_string(counters.directory_hits));
  CHECK(hits("read_only") == std::to_string(counters.read_only_hits));
  CHECK(hits("remote") == std::to_string(counters.remote_hits));
  CHECK(count("misses") == std::to_string(counters.misses));
  CHECK(count("compiles") == std::to_string(counters.compiles));
  CHECK(count("waits") == std::to_string(counters.waits));
  CHECK(count("promotions") == std::to_string(counters.promoted));
  CHECK(count("publishes") == std::to_string(counters.published));
  CHECK(count("publish_failures") == std::to_string(counters.failed_publishes));
  CHECK(count("quarantined") == std::to_string(counters.quarantined));
  CHECK(count("refusals") == std::to_string(counters.refused));
  CHECK(count("remote_uploads") == std::to_string(counters.remote_puts));
  CHECK(count("remote_failures") == std::to_string(counters.remote_failures));
  CHECK(count("evictions") == std::to_string(counters.evicted));
  CHECK(count("evicted_bytes") == std::to_string(counters.evicted_bytes));
  CHECK(count("read_bytes") == std::to_string(counters.bytes_read));
  CHECK(count("written_bytes") == std::to_string(counters.bytes_written));
  CHECK(count("leases") == std::to_string(counters.leases));
  CHECK(count("lease_hits") == std::to_string(counters.lease_hits));
}

TEST_CASE("times are seconds to the microsecond, whatever their size") {
  CacheCounters counters;
  counters.load_us = 7;
  counters.compile_us = 12'034'056;
  counters.wait_us = std::numeric_limits<std::uint64_t>::max();
  counters.lease_wait_us = 1'500'000;
  const PrometheusText text(prometheus_text(counters));
  CHECK(text.value("kerncast_cache_load_seconds_total") == "0.000007");
  CHECK(text.value("kerncast_cache_compile_seconds_total") == "12.034056");
  CHECK(text.value("kerncast_cache_wait_seconds_total") == "18446744073709.551615");
  CHECK(text.value("kerncast_cache_lease_wait_seconds_total") == "1.500000");
}

TEST_CASE("labels are escaped and part of every series") {
  const std::string odd = "/a \"b\"\\c\n{d},=\xc3\xa9";
  const PrometheusText text(prometheus_text({}, {{"directory", odd}}));
  CHECK(text.size() == counter_fields.size());
  CHECK(text.value("kerncast_cache_misses_total", {{"directory", odd}}) == "0");
  CHECK(text.value("kerncast_cache_hits_total", {{"directory", odd}, {"layer", "remote"}}) == "0");
  // Bytes that are not UTF-8 would make the whole text unusable.
  CHECK(PrometheusText(prometheus_text({}, {{"directory", "/a\xff"}}))
            .value("kerncast_cache_misses_total", {{"directory", "/a\\xff"}}) == "0");
}
