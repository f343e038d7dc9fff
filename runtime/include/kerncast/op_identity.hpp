#pragma once

#include <cstdint>
#include <memory>

#include "kerncast/export.hpp"

/// The means by which a Runtime tells ops apart: the content of their definitions, never by address or name
/// alone.
namespace kerncast {

struct OpDefinition;

/// XXH3-128 over everything in an OpDefinition that decides which kernel runs, how it is launched and with
/// which tunables: name, include, kernel, arguments type, later stages, the declaration that kernels wait,
/// sources, parameters, tunables, and the functions that check, choose and shape a launch.
struct OpFingerprint {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  /// True if both halves are equal.
  [[nodiscard]] bool operator==(const OpFingerprint&) const noexcept = default;
};

/// The fingerprint that a sealed definition carries. A copy of a definition, a moved one and one that was
/// assigned to are not sealed, since their owner may change them; so a stored fingerprint is never stale.
class OpIdentity {
 public:
  OpIdentity() noexcept = default;
  /// A copy is not sealed.
  OpIdentity(const OpIdentity& /*other*/) noexcept {}
  /// The target of a move is not sealed.
  OpIdentity(OpIdentity&& /*other*/) noexcept {}
  /// An assignment ends the seal, unless it is one to itself.
  OpIdentity& operator=(const OpIdentity& other) noexcept {
    if (this != &other) {
      sealed_ = false;
    }
    return *this;
  }
  /// An assignment ends the seal, unless it is one to itself.
  OpIdentity& operator=(OpIdentity&& other) noexcept { return *this = other; }
  ~OpIdentity() = default;

  /// True if the definition has its fingerprint and can no longer change.
  [[nodiscard]] bool sealed() const noexcept { return sealed_; }
  /// Meaningful if sealed() is true.
  [[nodiscard]] const OpFingerprint& fingerprint() const noexcept { return fingerprint_; }

 private:
  friend struct IdentityAccess;
  OpFingerprint fingerprint_;
  bool sealed_ = false;
};

/// `definition`, made immutable, with its fingerprint computed. A Runtime launches a sealed definition (and
/// one of the OpRegistry) without looking at its content again. A definition that is not sealed works too,
/// but its content is hashed in every call, so that a change to it takes effect at the next one: about 0.1 us
/// for each KiB of template text. Unlike the registry, any number of sealed definitions may have one name.
[[nodiscard]] KERNCAST_API std::shared_ptr<const OpDefinition> seal(OpDefinition definition);

}  // namespace kerncast
