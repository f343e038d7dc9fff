#pragma once

#include <cstdint>
#include <string>

#include "cache/tuning/tuned_record.hpp"

/// A sound record; `rows` is both ends of its range.
inline kerncast::cache::TunedRecord sample_record(std::int64_t rows = 1,
                                                  const std::string& op = "norm.rms_norm") {
  kerncast::cache::TunedRecord record;
  record.op = op;
  record.spec = "x_dtype=bf16 hidden=7168";
  record.arch = "sm_90a";
  record.rows_low = rows;
  record.rows_high = rows;
  record.source = kerncast::cache::TunedSource::measured;
  record.device = "NVIDIA H100 80GB HBM3";
  record.tunables = {{"threads", 256}, {"rows_per_block", 2}};
  record.time_us = 3.25;
  record.templates = "0123456789abcdef0123456789abcdef";
  record.recorded_us = 1'700'000'000'000'000 + rows;
  return record;
}

/// sample_record() with details.
inline kerncast::cache::TunedRecord detailed_record(std::int64_t rows = 1,
                                                    const std::string& op = "norm.rms_norm") {
  kerncast::cache::TunedRecord record = sample_record(rows, op);
  record.low_us = 3.2;
  record.high_us = 3.3;
  record.default_us = 3.5;
  record.trials = 12;
  record.policy = "graph of 20, cold L2";
  record.data = "zipf 1.1";
  record.compiler = "NVRTC 13.0";
  record.driver = "580.65";
  record.tool = "kerncast 0.1.0";
  return record;
}

/// sample_record() with a signature, which nobody has made.
inline kerncast::cache::TunedRecord signed_record(std::int64_t rows = 1) {
  kerncast::cache::TunedRecord record = sample_record(rows);
  record.signatures.emplace_back().signer.fill('s');
  record.signatures[0].bytes.fill('b');
  return record;
}
