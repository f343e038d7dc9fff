#include <fmt/format.h>

#include <cstring>
#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/moe/permute/spec_index.hpp"
#include "templates/moe/shared/grouping_reference.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::moe {
namespace {

/// Row `row` of `got` must have the bits of row `from_row` of `from`.
void check_row(reference::Verdict& verdict, const HostTensor& got, std::int64_t row, const HostTensor& from,
               std::int64_t from_row) {
  const reference::HostRows to(got);
  const reference::HostRows source(from);
  const auto bytes = static_cast<std::size_t>(size_of(got.dtype));
  for (std::int64_t i = 0; i < source.width(); ++i) {
    const std::byte* a = got.bytes.data() + static_cast<std::size_t>(to.offset(row, i)) * bytes;
    const std::byte* b = from.bytes.data() + static_cast<std::size_t>(source.offset(from_row, i)) * bytes;
    if (std::memcmp(a, b, bytes) != 0) {
      verdict.fail(got.name, row, i, fmt::format("is not {}[{}, {}]", from.name, from_row, i));
    }
  }
}

}  // namespace
}  // namespace kerncast::moe

KERNCAST_REFERENCE(moe, permute) {
  using namespace moe;
  const reference::HostRows offsets(reference::require(input, "offsets"));
  const reference::HostRows map(reference::require(input, "map"));
  const auto slots = slots_by_expert(input, input.spec[permute_params::experts], false);
  reference::Verdict verdict;
  std::vector<std::int64_t> want(static_cast<std::size_t>(map.rows() * map.width()), -1);
  std::int64_t row = 0;
  for (std::size_t e = 0; e <= slots.size(); ++e) {
    if (offsets(0, static_cast<std::int64_t>(e)) != static_cast<double>(row)) {
      verdict.fail("offsets", 0, static_cast<std::int64_t>(e),
                   fmt::format("is {}, expected {}", offsets(0, static_cast<std::int64_t>(e)), row));
    }
    if (e == slots.size()) {
      break;
    }
    for (const std::int64_t slot : slots[e]) {
      want[static_cast<std::size_t>(slot)] = row;
      check_row(verdict, reference::require(input, "y"), row, reference::require(input, "x"),
                slot / map.width());
      if (input.spec[permute_params::has_scales] != 0) {
        check_row(verdict, reference::require(input, "y_scales"), row, reference::require(input, "scales"),
                  slot / map.width());
      }
      ++row;
    }
  }
  for (std::int64_t t = 0; t < map.rows(); ++t) {
    for (std::int64_t k = 0; k < map.width(); ++k) {
      const std::int64_t expected = want[static_cast<std::size_t>(t * map.width() + k)];
      if (map(t, k) != static_cast<double>(expected)) {
        verdict.fail("map", t, k, fmt::format("is {}, expected {}", map(t, k), expected));
      }
    }
  }
  return verdict.result();
}
