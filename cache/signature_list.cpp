#include "cache/signature_list.hpp"

namespace kerncast::cache {

void write_signatures(Writer& out, const std::vector<Signature>& signatures) {
  out.integer(static_cast<std::uint32_t>(signatures.size()));
  for (const Signature& signature : signatures) {
    out.raw({signature.signer.data(), signature.signer.size()});
    out.raw({signature.bytes.data(), signature.bytes.size()});
  }
}

bool read_signatures(Reader& in, std::vector<Signature>& signatures) {
  const auto count = in.integer<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && count <= max_signatures && in.ok(); ++i) {
    Signature& signature = signatures.emplace_back();
    in.raw(signature.signer);
    in.raw(signature.bytes);
  }
  return in.ok() && signatures.size() == count;
}

}  // namespace kerncast::cache
