#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerncast {

/// The template sources in use: those that are built into the library, or the files of a directory that
/// replaces them.
class TemplateSet {
 public:
  /// Pairs of name and text.
  using Files = std::vector<std::pair<std::string, std::string>>;

  /// Uses the embedded files if `directory` is empty. Otherwise (KERNCAST_TEMPLATE_DIR) it reads files from
  /// `directory` when they are asked for.
  explicit TemplateSet(std::string directory);

  /// Returns `include` and every file that it can reach by #include "...", in order of name. The compiler
  /// gets exactly these files, and the key covers them. A file of `own` hides the file of that name in this
  /// set. Throws Error(not_found) that names a missing file and the file that includes it.
  [[nodiscard]] Files closure(const std::string& include, const Files& own = {}) const;

  [[nodiscard]] const std::string& directory() const { return directory_; }

 private:
  [[nodiscard]] std::string read(const std::string& name, const std::string& included_by) const;

  std::string directory_;
};

/// The names that `text` includes by #include "...", in order.
[[nodiscard]] std::vector<std::string> quoted_includes(std::string_view text);

}  // namespace kerncast
