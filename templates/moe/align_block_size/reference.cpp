#include <fmt/format.h>

#include <vector>

#include "templates/host/define_op.hpp"
#include "templates/moe/align_block_size/spec_index.hpp"
#include "templates/moe/shared/grouping_reference.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::moe {
namespace {

void check_all(reference::Verdict& verdict, const reference::HostRows& got,
               const std::vector<std::int64_t>& want, std::int64_t filler) {
  for (std::int64_t i = 0; i < got.width(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t expected = at < want.size() ? want[at] : filler;
    if (got(0, i) != static_cast<double>(expected)) {
      verdict.fail(got.name(), 0, i, fmt::format("is {}, expected {}", got(0, i), expected));
    }
  }
}

}  // namespace
}  // namespace kerncast::moe

KERNCAST_REFERENCE(moe, align_block_size) {
  using namespace moe;
  const reference::HostRows ids(reference::require(input, "ids"));
  const std::int64_t block = input.spec[align_block_size_params::block];
  const std::int64_t filler = ids.rows() * ids.width();
  const auto slots = slots_by_expert(input, input.spec[align_block_size_params::experts],
                                     input.spec[align_block_size_params::has_expert_map] != 0);
  std::vector<std::int64_t> sorted;
  std::vector<std::int64_t> experts;
  for (std::size_t e = 0; e < slots.size(); ++e) {
    sorted.insert(sorted.end(), slots[e].begin(), slots[e].end());
    while (static_cast<std::int64_t>(sorted.size()) % block != 0) {
      sorted.push_back(filler);
    }
    experts.resize(sorted.size() / static_cast<std::size_t>(block), static_cast<std::int64_t>(e));
  }
  reference::Verdict verdict;
  check_all(verdict, reference::HostRows(reference::require(input, "sorted")), sorted, filler);
  check_all(verdict, reference::HostRows(reference::require(input, "expert")), experts, -1);
  check_all(verdict, reference::HostRows(reference::require(input, "total")),
            {static_cast<std::int64_t>(sorted.size())}, 0);
  return verdict.result();
}
