#include <algorithm>

#include "kerncast/reference.hpp"

namespace kerncast {

const HostTensor* ReferenceInput::tensor(std::string_view name) const noexcept {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

double ReferenceInput::scalar(std::string_view name, double otherwise) const noexcept {
  const auto found =
      std::find_if(scalars.begin(), scalars.end(), [&](const auto& s) { return s.first == name; });
  return found == scalars.end() ? otherwise : found->second;
}

}  // namespace kerncast
