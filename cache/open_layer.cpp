#include "cache/open_layer.hpp"

#include <sys/stat.h>

#include <mutex>
#include <utility>

#include "cache/directory/read_only_directory.hpp"
#include "cache/pack/pack_layer.hpp"

namespace kerncast::cache {
namespace {

/// A layer that opens its path at the first look-up that finds something there.
class PathLayer : public ReadOnlyLayer {
 public:
  PathLayer(std::string path, Trust trust) : path_(std::move(path)), trust_(std::move(trust)) {}
  [[nodiscard]] const std::string& name() const override { return path_; }
  [[nodiscard]] LayerAnswer load(const Key& key) override {
    ReadOnlyLayer* layer = found();
    return layer != nullptr ? layer->load(key) : LayerAnswer{};
  }
  void for_each(const std::function<void(const Key&, const Entry&)>& visit) override {
    if (ReadOnlyLayer* layer = found()) {
      layer->for_each(visit);
    }
  }
  Compilers compilers() override {
    ReadOnlyLayer* layer = found();
    return layer != nullptr ? layer->compilers() : Compilers(std::in_place);
  }
  std::vector<TunedRecord> tuned(std::string& defect) override {
    ReadOnlyLayer* layer = found();
    return layer != nullptr ? layer->tuned(defect) : std::vector<TunedRecord>();
  }

 private:
  ReadOnlyLayer* found() {
    const std::lock_guard lock(mutex_);
    struct stat info{};
    if (layer_ == nullptr && ::stat(path_.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) {
        layer_ = std::make_unique<ReadOnlyDirectory>(path_, trust_);
      } else {
        layer_ = std::make_unique<PackLayer>(path_, trust_);
      }
    }
    return layer_.get();
  }

  std::string path_;
  Trust trust_;
  std::mutex mutex_;
  std::unique_ptr<ReadOnlyLayer> layer_;
};

}  // namespace

std::unique_ptr<ReadOnlyLayer> open_read_only_layer(std::string path, Trust trust) {
  return std::make_unique<PathLayer>(std::move(path), std::move(trust));
}

}  // namespace kerncast::cache
