#include "tools/warm/signing.hpp"

#include <fmt/format.h>

#include <optional>

#include "kerncast/error.hpp"

namespace kerncast::tools {

cache::SigningKey read_signing_key(const std::string& file) {
  std::string defect;
  const std::optional<cache::SigningKey> key = cache::SigningKey::read(file, defect);
  if (!key) {
    throw Error(ErrorCode::invalid_argument,
                fmt::format("{} cannot be used as a signing key: {}; `kerncast key generate FILE` makes one",
                            file, defect));
  }
  return *key;
}

std::function<void(const cache::Key&, cache::Entry&)> signer(const std::string& file) {
  if (file.empty()) {
    return nullptr;
  }
  return [key = read_signing_key(file)](const cache::Key& of, cache::Entry& entry) {
    if (!key.sign(of, entry)) {
      throw Error(ErrorCode::invalid_argument, fmt::format("{} has {} signatures, and no place for another",
                                                           of.hex(), entry.signatures.size()));
    }
  };
}

void sign_records(const std::string& file, std::vector<cache::TunedRecord>& records) {
  if (file.empty()) {
    return;
  }
  const cache::SigningKey key = read_signing_key(file);
  for (cache::TunedRecord& record : records) {
    if (!key.sign(record)) {
      throw Error(
          ErrorCode::invalid_argument,
          fmt::format("the tuned record of {} [{}] for {} has {} signatures, and no place for another",
                      record.op, record.spec, record.arch, record.signatures.size()));
    }
  }
}

}  // namespace kerncast::tools
