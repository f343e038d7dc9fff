#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cache/pack/pack.hpp"
#include "cache/posix/trust.hpp"
#include "cache/read_only_layer.hpp"

namespace kerncast::cache {

/// A pack as a read-only layer. The first look-up opens it, and it stays open. An unsound pack is not opened
/// again.
class PackLayer : public ReadOnlyLayer {
 public:
  PackLayer(std::string path, Trust trust) : path_(std::move(path)), trust_(std::move(trust)) {}
  [[nodiscard]] const std::string& name() const override { return path_; }
  [[nodiscard]] LayerAnswer load(const Key& key) override;
  void for_each(const std::function<void(const Key&, const Entry&)>& visit) override;
  [[nodiscard]] std::vector<TunedRecord> tuned(std::string& defect) override;

 private:
  const Pack* mounted();

  std::string path_;
  Trust trust_;
  std::once_flag once_;
  std::unique_ptr<Pack> pack_;
  std::string defect_;
};

}  // namespace kerncast::cache
