#pragma once

#include <string>
#include <vector>

#include "cache/wait_budget.hpp"

namespace kerncast::cache {

/// The numeric addresses of `host`. Empty, with the reason in `failure`, if there are none, or if the
/// system's resolver, which has no time-out of its own, does not give them before `deadline`.
[[nodiscard]] std::vector<std::string> resolve(const std::string& host, const Deadline& deadline,
                                               std::string& failure);

}  // namespace kerncast::cache
