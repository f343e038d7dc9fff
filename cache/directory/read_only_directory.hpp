#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cache/posix/trust.hpp"
#include "cache/read_only_layer.hpp"

namespace kerncast::cache {

/// A cache directory that is only read, for example in a container image or on a shared mount. It has the
/// layout that store.hpp shows. Only entries, tuned records and compiler marks are read; nothing is moved to
/// quarantine and no time of use is set.
class ReadOnlyDirectory : public ReadOnlyLayer {
 public:
  ReadOnlyDirectory(std::string path, Trust trust) : path_(std::move(path)), trust_(std::move(trust)) {}
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
