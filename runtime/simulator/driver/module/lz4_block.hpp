#pragma once

#include <string>
#include <string_view>

namespace kerncast::simulator::api {

/// Decompresses one block of the LZ4 block format into `out`, whose size is that of the result. False if the
/// block is damaged or its result has another size.
[[nodiscard]] bool unpack_lz4_block(std::string_view packed, std::string& out);

}  // namespace kerncast::simulator::api
