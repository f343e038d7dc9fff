#pragma once

#include <string>

#include "cache/entry.hpp"
#include "cache/key.hpp"

namespace kerncast {

/// The reason why `entry` cannot be the compiled kernel that `key` stands for; empty if nothing speaks
/// against it. The key fields must hash to the key. PTX and cubin must be for the architecture that the
/// fields name, and contain the entry points. This finds mistakes and exchanged entries; it cannot find code
/// that was made to deceive.
[[nodiscard]] std::string disproof(const cache::Key& key, const cache::Entry& entry);

}  // namespace kerncast
