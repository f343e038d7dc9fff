#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/directory/compiler_marks.hpp"
#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/posix/trust.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// An entry, or what is wrong with what stands in its place; both empty where there is nothing.
struct LayerAnswer {
  std::optional<Entry> entry;
  std::string defect;
};

/// A place below the user's directory that entries are read from and nothing is written to. Thread-safe.
class Layer {
 public:
  Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;
  /// As its user named it.
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual LayerAnswer load(const Key& key) = 0;
  /// Every sound entry, in order of key.
  virtual void for_each(const std::function<void(const Key&, const Entry&)>& visit) = 0;
  /// Whose entries the layer may hold; nothing where that is not known, or where looking costs little.
  [[nodiscard]] virtual Compilers compilers() { return std::nullopt; }
  /// The layer's tuned records, in order. `defect` receives what is wrong with them; empty where nothing is.
  [[nodiscard]] virtual std::vector<TunedRecord> tuned(std::string& defect) = 0;
};

/// The layer at `path`: a cache directory, or a pack where it is a file. What is not there yet is looked for
/// again at each load. `trust` decides whether what others could have written is read.
[[nodiscard]] std::unique_ptr<Layer> open_read_only_layer(std::string path, Trust trust);

}  // namespace kerncast::cache
