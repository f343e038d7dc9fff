#pragma once

#include <cstdint>
#include <string>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "tests/temporary_directory.hpp"

/// A different key for each `i`. Ascending numbers give keys in no particular order, spread over several
/// shards.
inline kerncast::cache::Key sample_key(std::uint64_t i) {
  return {i * 0x9e3779b97f4a7c15ULL, i};
}

/// An entry with every field set.
inline kerncast::cache::Entry sample_entry(const std::string& op = "norm.rms_norm") {
  kerncast::cache::Entry entry;
  entry.op = op;
  entry.spec = "x_dtype=bf16 hidden=7168";
  entry.arch = "sm_90a";
  entry.lowered_name = "_Z6kernelv";
  entry.cubin = std::string(
      "\x7f"
      "ELF\0\1\2",
      7);
  entry.ptx = ".version 9.0";
  entry.resources = {{"registers", 40}, {"spill_store_bytes", 0}, {"negative", -1}};
  entry.key_fields = {{"source", "text"}, {"arch", "sm_90a"}};
  return entry;
}

/// An entry of the newest version: sample_entry() with a signature, which nobody has made, and a provenance.
inline kerncast::cache::Entry dated_entry() {
  kerncast::cache::Entry entry = sample_entry();
  entry.signatures.emplace_back().signer.fill('s');
  entry.signatures[0].bytes.fill('b');
  entry.provenance = {"0.1.0",   1'700'000'000, "host", kerncast::cache::CopySource::pack,
                      "/a/pack", 1'700'000'060};
  return entry;
}
