#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/signature/signing_key.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::tools {

/// The signing key in `file`. Throws Error(invalid_argument), which says what is wrong with it.
[[nodiscard]] cache::SigningKey read_signing_key(const std::string& file);

/// Signs entries with the key in `file`. Null if `file` is empty. Throws as read_signing_key does. The
/// function throws Error(invalid_argument) if an entry has too many signatures.
[[nodiscard]] std::function<void(const cache::Key&, cache::Entry&)> signer(const std::string& file);

/// Signs `records` with the key in `file`; does nothing if `file` is empty. Throws as signer() does.
void sign_records(const std::string& file, std::vector<cache::TunedRecord>& records);

}  // namespace kerncast::tools
