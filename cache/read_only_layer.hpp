#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/entry.hpp"
#include "cache/key.hpp"
#include "cache/tuning/tuned_record.hpp"

namespace kerncast::cache {

/// Result of a look-up: the entry, or the reason why the file found is unusable. Both are empty if no file
/// exists.
struct LayerAnswer {
  std::optional<Entry> entry;
  std::string defect;
};

/// The defect of a layer that is not trusted because of `reason`.
[[nodiscard]] inline std::string untrusted_layer(const std::string& reason) {
  return "not trusted: " + reason +
         "; let nobody else write there, or name users whom you trust in KERNCAST_CACHE_OWNERS";
}

/// The NVRTC versions whose entries a layer may hold. Empty if that is unknown.
using Compilers = std::optional<std::vector<std::string>>;

/// A place that is searched after the user's directory and never written to: another cache directory or a
/// pack. Thread-safe.
class ReadOnlyLayer {
 public:
  ReadOnlyLayer() = default;
  ReadOnlyLayer(const ReadOnlyLayer&) = delete;
  ReadOnlyLayer& operator=(const ReadOnlyLayer&) = delete;
  virtual ~ReadOnlyLayer() = default;
  /// The path as the user wrote it.
  [[nodiscard]] virtual const std::string& name() const = 0;
  [[nodiscard]] virtual LayerAnswer load(const Key& key) = 0;
  /// Calls `visit` with every sound entry, in order of key.
  virtual void for_each(const std::function<void(const Key&, const Entry&)>& visit) = 0;
  /// The compilers whose entries the layer may hold. Empty if that is unknown, or if a look-up costs so
  /// little that it need not be known.
  [[nodiscard]] virtual Compilers compilers() { return std::nullopt; }
  /// The tuned records of the layer, in order. If they cannot be used, `defect` receives the reason.
  [[nodiscard]] virtual std::vector<TunedRecord> tuned(std::string& defect) = 0;
};

}  // namespace kerncast::cache
