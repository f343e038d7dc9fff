#include "cache/pack/pack_layer.hpp"

namespace kerncast::cache {

const Pack* PackLayer::mounted() {
  std::call_once(once_, [this] { pack_ = Pack::open(path_, trust_, defect_); });
  return pack_.get();
}

LayerAnswer PackLayer::load(const Key& key) {
  const Pack* pack = mounted();
  return pack != nullptr ? pack->find(key) : LayerAnswer{std::nullopt, defect_};
}

void PackLayer::for_each(const std::function<void(const Key&, const Entry&)>& visit) {
  const Pack* pack = mounted();
  for (std::size_t i = 0; pack != nullptr && i < pack->size(); ++i) {
    if (const LayerAnswer answer = pack->read(i); answer.entry) {
      visit(pack->key(i), *answer.entry);
    }
  }
}

std::vector<TunedRecord> PackLayer::tuned(std::string& defect) {
  const Pack* pack = mounted();
  if (pack == nullptr) {
    defect = defect_;
    return {};
  }
  return pack->tuned(defect);
}

}  // namespace kerncast::cache
