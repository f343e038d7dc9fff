#include "tools/verify/entry_verifier.hpp"

#include <utility>

#include "runtime/dispatch/entry_proof.hpp"

namespace kerncast::tools {

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::sound:
      return "sound";
    case Verdict::damaged:
      return "damaged";
    case Verdict::unproved:
      return "unproved";
    case Verdict::without_signer:
      return "unsigned";
    case Verdict::not_loadable:
      return "not loadable";
  }
  return "";
}

Finding EntryVerifier::verify(const cache::Key& key, const cache::ParsedEntry& parsed,
                              SignatureRule rule) const {
  return parsed.entry ? verify(key, *parsed.entry, rule) : Finding{Verdict::damaged, parsed.defect};
}

Finding EntryVerifier::verify(const cache::Key& key, const cache::Entry& entry, SignatureRule rule) const {
  if (std::string defect = disproof(key, entry); !defect.empty()) {
    return {Verdict::unproved, std::move(defect)};
  }
  if (rule == SignatureRule::as_demanded) {
    if (std::string defect = trusted_.defect_of(key, entry); !defect.empty()) {
      return {Verdict::without_signer, std::move(defect)};
    }
  }
  Finding finding;
  if (probe_ != nullptr) {
    LoadOutcome outcome = probe_->load(entry);
    finding.loaded = outcome.tried && outcome.defect.empty();
    if (!outcome.defect.empty()) {
      finding = {Verdict::not_loadable, std::move(outcome.defect), false, outcome.lasting};
    }
  }
  return finding;
}

}  // namespace kerncast::tools
