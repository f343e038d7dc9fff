#include "templates/moe/shared/router_reference.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "templates/reference/host_float.hpp"

namespace kerncast::reference {

std::int64_t routed_rows(const ReferenceInput& input, std::int64_t rows) {
  const HostTensor* count = input.tensor("num_token_non_padded");
  if (count == nullptr) {
    return rows;
  }
  const auto given = static_cast<std::int64_t>(decode(DType::i32, count->bytes.data()));
  return std::clamp<std::int64_t>(given, 0, rows);
}

void check_padding(Verdict& verdict, const HostRows& weights, const HostRows& ids, std::int64_t first) {
  for (std::int64_t row = first; row < ids.rows(); ++row) {
    for (std::int64_t slot = 0; slot < ids.width(); ++slot) {
      if (ids(row, slot) != -1.0) {
        verdict.fail("ids", row, slot, fmt::format("is {} in a row of padding, expected -1", ids(row, slot)));
      }
      verdict.compare("weights", row, slot, DType::f32, weights(row, slot), 0.0, 0);
    }
  }
}

}  // namespace kerncast::reference
