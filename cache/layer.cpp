#include "cache/layer.hpp"

#include <sys/stat.h>

#include <mutex>
#include <utility>

#include "cache/directory/read_only_directory.hpp"
#include "cache/pack/pack_layer.hpp"

namespace kerncast::cache {
namespace {

/// A path that becomes a layer once something is there.
class PathLayer : public Layer {
 public:
  PathLayer(std::string path, Trust trust) : path_(std::move(path)), trust_(trust) {}
  [[nodiscard]] const std::string& name() const override { return path_; }
  [[nodiscard]] LayerAnswer load(const Key& key) override {
    Layer* layer = found();
    return layer != nullptr ? layer->load(key) : LayerAnswer{};
  }
  void for_each(const std::function<void(const Key&, const Entry&)>& visit) override {
    if (Layer* layer = found()) {
      layer->for_each(visit);
    }
  }
  Compilers compilers() override {
    Layer* layer = found();
    return layer != nullptr ? layer->compilers() : Compilers(std::in_place);
  }
  std::vector<TunedRecord> tuned(std::string& defect) override {
    Layer* layer = found();
    return layer != nullptr ? layer->tuned(defect) : std::vector<TunedRecord>();
  }

 private:
  Layer* found() {
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
  std::unique_ptr<Layer> layer_;
};

}  // namespace

std::unique_ptr<Layer> open_read_only_layer(std::string path, Trust trust) {
  return std::make_unique<PathLayer>(std::move(path), trust);
}

}  // namespace kerncast::cache
