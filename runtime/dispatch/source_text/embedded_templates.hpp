#pragma once

#include <span>
#include <string_view>

namespace kerncast {

/// A template source that is built into the library, under the name by which templates include it
/// ("norm/rms_norm/kernel.cuh").
struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
};

/// All template sources, in order of name. The build generates the definition from the files in templates/.
[[nodiscard]] std::span<const EmbeddedFile> embedded_templates() noexcept;

/// The files of templates/tuned, in order of name: the tuned records that come with the library. A long file
/// is given as several parts of one name, in order.
[[nodiscard]] std::span<const EmbeddedFile> embedded_tuned() noexcept;

}  // namespace kerncast
