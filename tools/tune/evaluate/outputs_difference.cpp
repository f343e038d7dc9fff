#include "tools/tune/evaluate/outputs_difference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace kerncast::tools {

std::string outputs_difference(const std::vector<StoredTensor>& own, const std::vector<StoredTensor>& other) {
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (i >= other.size()) {
      return fmt::format("{} is not written", own[i].name);
    }
    const auto differ =
        std::mismatch(own[i].bytes.begin(), own[i].bytes.end(), other[i].bytes.begin(), other[i].bytes.end());
    if (differ.first != own[i].bytes.end() || differ.second != other[i].bytes.end()) {
      return fmt::format("{} differs from what the default writes, from byte {} of {} on", own[i].name,
                         differ.first - own[i].bytes.begin(), own[i].bytes.size());
    }
  }
  return {};
}

}  // namespace kerncast::tools
