#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Texts that cross the border between C and C++.
namespace kerncast::c_api {

/// A copy of `text` for the caller, who frees it with kerncast_text_free(). Throws std::bad_alloc.
[[nodiscard]] char* copy_for_caller(std::string_view text);

/// Names and values of a text such as "x_dtype=bf16 hidden=7168". Throws Error(invalid_argument), which names
/// `function`, for a part without '='.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> settings_of(std::string_view text,
                                                                           const char* function);

}  // namespace kerncast::c_api
