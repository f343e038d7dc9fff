#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast {

/// The template sources in use: those embedded in the library, or the files of a directory that overrides
/// them.
class TemplateSet {
 public:
  /// Name and text.
  using Files = std::vector<std::pair<std::string, std::string>>;

  /// The embedded files; with `directory` not empty, that directory's instead (KERNCAST_TEMPLATE_DIR), read
  /// as files are asked for.
  explicit TemplateSet(std::string directory);

  /// Every file that `include` can reach by #include "...", itself included, in order of name: the exact set
  /// handed to the compiler and hashed into the key. Throws Error(not_found) naming the file and who includes
  /// it.
  /// `own` files hide those of the set.
  [[nodiscard]] Files closure(const std::string& include, const Files& own = {}) const;

  [[nodiscard]] const std::string& directory() const { return directory_; }

 private:
  [[nodiscard]] std::string read(const std::string& name, const std::string& included_by) const;

  std::string directory_;
};

/// Names in `text` after #include "...", in order.
[[nodiscard]] std::vector<std::string> quoted_includes(std::string_view text);

}  // namespace kerncast
