#include "runtime/dispatch/source_text/fingerprint.hpp"

#ifdef __clang_analyzer__  // It does not follow the length of the inlined functions' buffer.
#define XXH_STATIC_LINKING_ONLY
#else
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include <string_view>
#include <type_traits>
#include <utility>

namespace kerncast {
namespace {

/// Hashes a sequence of fields. Every string and every list is preceded by its length, so that no two
/// different definitions feed the same bytes.
class Hasher {
 public:
  Hasher() noexcept { XXH3_128bits_reset(&state_); }

  template <class Value>
  void add_value(Value value) noexcept {
    static_assert(std::has_unique_object_representations_v<Value>);
    XXH3_128bits_update(&state_, &value, sizeof value);
  }

  void add_text(std::string_view text) noexcept {
    add_value(text.size());
    XXH3_128bits_update(&state_, text.data(), text.size());
  }

  template <class List, class AddElement>
  void add_list(const List& list, AddElement&& add_element) noexcept {
    add_value(list.size());
    for (const auto& element : list) {
      add_element(element);
    }
  }

  [[nodiscard]] OpFingerprint result() const noexcept {
    const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
    return {hash.low64, hash.high64};
  }

 private:
  XXH3_state_t state_;
};

void add_param(Hasher& hasher, const ParamSpec& param) noexcept {
  const auto add_value = [&](std::int32_t value) { hasher.add_value(value); };
  hasher.add_text(param.name);
  hasher.add_value(param.kind);
  hasher.add_value(std::int32_t{param.default_value.has_value()});
  hasher.add_value(param.default_value.value_or(0));
  hasher.add_value(param.minimum);
  hasher.add_value(param.maximum);
  hasher.add_value(param.multiple_of);
  hasher.add_list(param.allowed, add_value);
  hasher.add_list(param.choices, [&](const std::string& choice) { hasher.add_text(choice); });
}

}  // namespace

OpFingerprint fingerprint(const OpDefinition& op) noexcept {
  Hasher hasher;
  hasher.add_text(op.name);
  hasher.add_text(op.include);
  hasher.add_text(op.kernel);
  hasher.add_text(op.arguments_type);
  hasher.add_list(op.later_stages, [&](const LaterStage& stage) {
    hasher.add_text(stage.kernel);
    hasher.add_value(stage.geometry);
  });
  hasher.add_value(op.waits_for_primary);
  hasher.add_list(op.sources, [&](const std::pair<std::string, std::string>& source) {
    hasher.add_text(source.first);
    hasher.add_text(source.second);
  });
  hasher.add_list(op.params, [&](const ParamSpec& param) { add_param(hasher, param); });
  hasher.add_list(op.tunables, [&](const TunableSpec& tunable) {
    hasher.add_text(tunable.name);
    hasher.add_list(tunable.choices, [&](std::int32_t choice) { hasher.add_value(choice); });
    hasher.add_value(tunable.minimum);
    hasher.add_value(tunable.maximum);
    hasher.add_value(tunable.multiple_of);
  });
  hasher.add_value(op.validate);
  hasher.add_value(op.tunables_defect);
  hasher.add_value(op.default_tunables);
  hasher.add_value(op.geometry);
  return hasher.result();
}

void IdentityAccess::seal(OpDefinition& op) noexcept {
  op.identity.fingerprint_ = fingerprint(op);
  op.identity.sealed_ = true;
}

std::shared_ptr<const OpDefinition> seal(OpDefinition definition) {
  auto sealed = std::make_shared<OpDefinition>(std::move(definition));
  IdentityAccess::seal(*sealed);
  return sealed;
}

}  // namespace kerncast
