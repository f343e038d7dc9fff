#pragma once

#include <string>
#include <string_view>

#include "cache/remote/server/s3_address.hpp"

namespace kerncast::cache {

/// The URL of a page of the objects of `address` whose names begin with `prefix`: the first one, or the one
/// that begins at the continuation token `place`.
[[nodiscard]] std::string s3_list_url(const S3Address& address, std::string_view prefix,
                                      std::string_view place);

}  // namespace kerncast::cache
