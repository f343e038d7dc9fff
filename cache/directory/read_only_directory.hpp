#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cache/posix/trust.hpp"
#include "cache/read_only_layer.hpp"

namespace kerncast::cache {

/// A cache directory that is only read: a container image's, a shared mount's. It has the tree that store.hpp
/// shows, of which only the entries and tuned records are looked at, and nothing in it is set aside or
/// stamped.
class ReadOnlyDirectory : public ReadOnlyLayer {
 public:
  ReadOnlyDirectory(std::string path, Trust trust) : path_(std::move(path)), trust_(trust) {}
  [[nodiscard]] const std::string& name() const override { return path_; }
  [[nodiscard]] LayerAnswer load(const Key& key) override;
  void for_each(const std::function<void(const Key&, const Entry&)>& visit) override;
  [[nodiscard]] Compilers compilers() override;
  [[nodiscard]] std::vector<TunedRecord> tuned(std::string& defect) override;

 private:
  std::string path_;
  Trust trust_;
};

}  // namespace kerncast::cache
