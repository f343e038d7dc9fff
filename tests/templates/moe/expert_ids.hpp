#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "templates/reference/host_float.hpp"
#include "tests/templates/op_harness.hpp"
#include "tests/templates/samples.hpp"

/// Inputs and outputs of the tests of ops that group slots by expert.
namespace kerncast::test {

/// `count` ids below `experts`, some experts more often than others.
inline std::vector<double> expert_ids(std::int64_t count, std::int64_t experts, std::uint64_t seed) {
  Samples source(seed);
  std::vector<double> ids(static_cast<std::size_t>(count));
  for (double& id : ids) {
    const auto below = static_cast<std::uint64_t>(experts);
    const std::uint64_t drawn = source.bits() % below;
    id = static_cast<double>(source.bits() % 3 == 0 ? drawn / 4 : drawn);
  }
  return ids;
}

/// expert_ids, with every kind of id that names no expert among them.
inline std::vector<double> ids_with_strays(std::int64_t count, std::int64_t experts, std::uint64_t seed) {
  std::vector<double> ids = expert_ids(count, experts, seed);
  const std::vector<double> strays = {-1.0, static_cast<double>(experts), -2147483648.0, 2147483647.0};
  for (std::size_t i = 0; i < ids.size(); i += 3) {
    ids[i] = strays[i / 3 % strays.size()];
  }
  return ids;
}

/// The elements of an i32 tensor.
inline std::vector<std::int64_t> integers_of(const Outcome& outcome, const std::string& name) {
  const HostTensor* tensor = outcome.input.tensor(name);
  REQUIRE(tensor != nullptr);
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < tensor->bytes.size(); i += 4) {
    values.push_back(static_cast<std::int64_t>(reference::decode(DType::i32, tensor->bytes.data() + i)));
  }
  return values;
}

}  // namespace kerncast::test
