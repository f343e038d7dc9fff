#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/signature/trusted_keys.hpp"
#include "tools/verify/load_probe.hpp"

namespace kerncast::tools {

/// The first thing that is wrong with an entry.
enum class Verdict : std::uint8_t {
  sound,
  damaged,         ///< it cannot be read, or its bytes are no entry of its key
  unproved,        ///< it is intact, and cannot be what its key stands for
  without_signer,  ///< none of the keys that are demanded has signed it
  not_loadable,    ///< a device that takes its code refuses it
};
constexpr Verdict verdicts[] = {Verdict::sound, Verdict::damaged, Verdict::unproved, Verdict::without_signer,
                                Verdict::not_loadable};
/// The name of a verdict, such as "not loadable".
[[nodiscard]] std::string_view name_of(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::sound;
  std::string reason;   ///< empty if it is sound
  bool loaded = false;  ///< a device has loaded it
  bool lasting = true;  ///< false if the entry itself may not be to blame
};

/// True if a place's entries must be signed where KERNCAST_TRUSTED_KEYS demands signatures. Those of the own
/// directory need not be: they were verified when they came there, or were compiled there.
enum class SignatureRule : std::uint8_t { as_demanded, none };

/// Holds an entry to everything that can be known about it. `cache verify` and `doctor` share it.
class EntryVerifier {
 public:
  /// `probe` loads entries; null: they are not loaded. Both must outlive the verifier.
  EntryVerifier(const cache::TrustedKeys& trusted, LoadProbe* probe) : trusted_(trusted), probe_(probe) {}

  /// Verifies `parsed`, which was read in the place of `key`.
  [[nodiscard]] Finding verify(const cache::Key& key, const cache::ParsedEntry& parsed,
                               SignatureRule rule) const;
  [[nodiscard]] Finding verify(const cache::Key& key, const cache::Entry& entry, SignatureRule rule) const;
  /// The reason why a tuned record from outside is not used; empty if it is.
  [[nodiscard]] std::string defect_of(const cache::TunedRecord& record) const {
    return trusted_.defect_of(record);
  }

 private:
  const cache::TrustedKeys& trusted_;
  LoadProbe* probe_;
};

}  // namespace kerncast::tools
