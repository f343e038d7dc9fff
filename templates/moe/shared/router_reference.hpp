#pragma once

#include <cstdint>

#include "templates/reference/compare.hpp"
#include "templates/reference/host_rows.hpp"

/// The part of the references of all routers that deals with rows of padding.
namespace kerncast::reference {

/// The rows of `rows` that are routed: all, or as many as num_token_non_padded says.
[[nodiscard]] std::int64_t routed_rows(const ReferenceInput& input, std::int64_t rows);

/// Checks that the rows from `first` on have the weight 0 and the id -1 in every slot.
void check_padding(Verdict& verdict, const HostRows& weights, const HostRows& ids, std::int64_t first);

}  // namespace kerncast::reference
