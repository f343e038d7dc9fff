#pragma once

#include "kerncast/op_definition.hpp"
#include "kerncast/op_identity.hpp"

namespace kerncast {

/// Computes the fingerprint of `op` from its content. No lock, no allocation.
[[nodiscard]] OpFingerprint fingerprint(const OpDefinition& op) noexcept;

/// The fingerprint that a sealed `op` carries, else the one computed from its content now.
[[nodiscard]] inline OpFingerprint identity_of(const OpDefinition& op) noexcept {
  return op.identity.sealed() ? op.identity.fingerprint() : fingerprint(op);
}

/// Seals definitions. `op` must be out of reach of everybody who could change it.
struct IdentityAccess {
  static void seal(OpDefinition& op) noexcept;
};

}  // namespace kerncast
