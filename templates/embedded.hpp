#pragma once

#include <span>
#include <string_view>

namespace kerncast {

/// A template source held in the library: `name` as templates include it ("norm/rms_norm/kernel.cuh").
struct EmbeddedFile {
  std::string_view name;
  std::string_view text;
};

/// All of them, in order of name.
[[nodiscard]] std::span<const EmbeddedFile> embedded_templates() noexcept;

}  // namespace kerncast
