#pragma once

#include <string>

#include "kerncast/op_definition.hpp"

namespace kerncast {

/// Digest (32 hex digits) of how `op` divides its launches at `spec`: grid, block and shared memory of every
/// stage, for its combinations of tunables, 4096 at most, at a few row counts on a made-up device; and the
/// type and size of the tensor "workspace", if it has one. A change of the host code that divides them
/// changes it, though the template text stays the same. Takes up to a few milliseconds. Thread-safe.
[[nodiscard]] std::string launch_digest(const OpDefinition& op, const Specialisation& spec);

}  // namespace kerncast
