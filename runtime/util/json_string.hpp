#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kerncast {

/// `text`, which is UTF-8, as a JSON string with its quotes. If the string would be longer than about `most`
/// bytes, the rest of the text is left out and "..." stands for it.
[[nodiscard]] std::string json_string(std::string_view text, std::size_t most = static_cast<std::size_t>(-1));

}  // namespace kerncast
