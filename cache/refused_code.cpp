#include "cache/refused_code.hpp"

#include <string>

namespace kerncast::cache {

Key code_digest(std::string_view cubin, std::string_view ptx, std::string_view lowered_name) {
  KeyFields fields;
  fields.add("cubin", std::string(cubin));
  fields.add("ptx", std::string(ptx));
  fields.add("lowered_name", std::string(lowered_name));
  return fields.key();
}

void RefusedCode::vouch_for(const Key& code) {
  const std::lock_guard lock(mutex_);
  compiled_.insert(code);
}

bool RefusedCode::refuse(const Key& code) {
  const std::lock_guard lock(mutex_);
  if (compiled_.contains(code)) {
    return false;
  }
  refused_.insert(code);
  any_.store(true, std::memory_order_release);
  return true;
}

bool RefusedCode::contains(const Key& code) const {
  const std::lock_guard lock(mutex_);
  return refused_.contains(code);
}

}  // namespace kerncast::cache
