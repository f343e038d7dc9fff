#pragma once

#include <string_view>

namespace kerncast::cache {

/// Writes all of `bytes` to the file `fd`. False, with the reason in errno, if that fails. A limit on the
/// size of files makes it fail instead of ending the process.
[[nodiscard]] bool write_all(int fd, std::string_view bytes);

}  // namespace kerncast::cache
