#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cache/directory/store.hpp"
#include "cache/tuning/tuning_store.hpp"
#include "runtime/dispatch/runtime_impl.hpp"
#include "tests/cache/sample.hpp"
#include "tests/tools/commands/command_process.hpp"

/// Caches that the tests of the cache's commands begin with.

inline constexpr const char* hidden = "hidden=64";

/// A place whose cache holds one kernel. It needs an NVRTC.
struct Warmed {
  Warmed() { REQUIRE(place.run(warm).code == 0); }
  CommandPlace place;
  std::vector<std::string> warm{"warm", "norm.rms_norm", "--set", hidden, "--arch", "sm_90a", "--rows", "1"};
};

/// A tuned record of rms_norm for one row of 64 elements, in the form that a tuner would store.
inline kerncast::cache::TunedRecord tuned_record() {
  kerncast::RuntimeOptions options;
  options.nvrtc = "none";
  kerncast::Runtime runtime(options);
  kerncast::cache::TunedRecord record;
  record.op = "norm.rms_norm";
  record.spec = hidden;
  record.arch = "sm_90a";
  record.source = kerncast::cache::TunedSource::measured;
  record.device = "NVIDIA H100";
  record.tunables = {{"threads", 64}, {"rows_per_block", 2}};
  record.time_us = 2.5;
  record.templates = implementation_of(runtime).builder.templates_digest(
      kerncast::OpRegistry::instance().require(record.op), record.spec);
  record.recorded_us = 1'764'000'000'000'000;
  return record;
}

/// Stores `record` in the cache of `place`.
inline void keep(const CommandPlace& place, const kerncast::cache::TunedRecord& record) {
  REQUIRE(kerncast::cache::TuningStore(place.directory.file("cache"), nullptr).record({record}).written == 1);
}

/// Publishes an entry that stands for its key, with `blanks` blanks behind its PTX.
inline void publish_proven(kerncast::cache::Store& store, const std::string& source, std::size_t blanks) {
  kerncast::cache::Entry entry = sample_entry();
  entry.lowered_name = "kernel";
  entry.cubin.clear();
  entry.ptx = ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry kernel() { ret; }\n" +
              std::string(blanks, ' ');
  entry.key_fields = {{"source", source}, {"kernel", "kernel"}, {"arch", "sm_90a"}};
  REQUIRE(store.publish(kerncast::cache::key_of_fields(entry.key_fields), entry));
}
