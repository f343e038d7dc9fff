#pragma once

#include <string>
#include <vector>

#include "runtime/dispatch/observe/request_record.hpp"
#include "tools/io/console.hpp"

namespace kerncast::tools {

/// Settings as the command's options take them: NAME=VALUE.
[[nodiscard]] std::vector<std::string> setting_texts(const KernelRequest& request);

/// The requests in the file `path`, in order. Lines that are no records (a full disk can leave one) are left
/// out, with one warning on `console` that counts them. Throws Error(io_error) if the file cannot be read, or
/// has lines and none of them is a record.
[[nodiscard]] std::vector<KernelRequest> read_records(const std::string& path, Console& console);

/// The text of a file with the records of all `paths`, sorted, each kernel once. Equal records give equal
/// text.
[[nodiscard]] std::string merge_records(const std::vector<std::string>& paths, Console& console);

}  // namespace kerncast::tools
