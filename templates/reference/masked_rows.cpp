#include "templates/reference/masked_rows.hpp"

#include <algorithm>

#include "templates/reference/host_float.hpp"
#include "templates/reference/host_rows.hpp"

namespace kerncast::reference {

std::vector<CountedRows> counted_rows(const ReferenceInput& input, const HostTensor& x) {
  const HostTensor* mask = input.tensor("masked_m");
  if (mask == nullptr) {
    return {{-1, HostRows(x).rows()}};
  }
  std::vector<CountedRows> counted;
  for (std::int64_t expert = 0; expert < x.shape.at(0); ++expert) {
    const double rows = decode(DType::i32, mask->bytes.data() + expert * 4);
    counted.push_back({expert, std::clamp<std::int64_t>(static_cast<std::int64_t>(rows), 0, x.shape.at(1))});
  }
  return counted;
}

HostTensor expert_of(const HostTensor& tensor, std::int64_t expert) {
  if (expert < 0) {
    return tensor;
  }
  HostTensor part{tensor.name,
                  tensor.dtype,
                  {tensor.shape.begin() + 1, tensor.shape.end()},
                  {tensor.strides.begin() + 1, tensor.strides.end()},
                  {}};
  const std::int64_t offset = expert * tensor.strides.at(0) * size_of(tensor.dtype);
  part.bytes.assign(tensor.bytes.begin() + offset, tensor.bytes.end());
  return part;
}

}  // namespace kerncast::reference
