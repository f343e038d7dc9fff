#include "templates/norm/shared/qk_norm_heads_reference.hpp"

#include <cstring>

#include "templates/norm/qk_norm/spec_index.hpp"
#include "templates/norm/shared/row_scale_reference.hpp"
#include "templates/reference/compare.hpp"
#include "templates/reference/host_float.hpp"

namespace kerncast::reference {
namespace {

/// The tokens of a tensor [..., heads, width].
struct Tokens {
  explicit Tokens(const HostTensor& of) : tensor(&of) {
    const std::size_t rank = of.shape.size();
    heads = of.shape.at(rank - 2);
    width = of.shape.at(rank - 1);
    head_stride = of.strides.at(rank - 2);
    for (std::size_t i = rank - 2; i-- > 0;) {
      if (of.shape[i] != 1 && count == 1) {
        stride = of.strides[i];
      }
      count *= of.shape[i];
    }
  }
  [[nodiscard]] const std::byte* at(std::int64_t token, std::int64_t head, std::int64_t i) const {
    return tensor->bytes.data() + (token * stride + head * head_stride + i) * size_of(tensor->dtype);
  }
  [[nodiscard]] double value(std::int64_t token, std::int64_t head, std::int64_t i) const {
    return decode(tensor->dtype, at(token, head, i));
  }

  const HostTensor* tensor;
  std::int64_t count = 1;
  std::int64_t stride = 0;
  std::int64_t heads = 0;
  std::int64_t head_stride = 0;
  std::int64_t width = 0;
};

}  // namespace

ReferenceResult check_heads(const ReferenceInput& input, const TurnHead& turn) {
  using namespace norm::qk_norm_params;
  const Tokens before(require(input, "qkv"));
  const Tokens after(require(input, "qkv_out"));
  const HostRows q_weight(require(input, "q_weight"));
  const HostRows k_weight(require(input, "k_weight"));
  const DType type = before.tensor->dtype;
  const double eps = static_cast<float>(input.scalar("eps", 1e-6));
  const double offset = input.spec[unit_offset] != 0 ? 1.0 : 0.0;
  const std::int64_t q = input.spec[q_heads];
  const std::int64_t normed = q + input.spec[kv_heads];

  Verdict verdict;
  std::vector<double> head(static_cast<std::size_t>(before.width));
  for (std::int64_t token = 0; token < before.count; ++token) {
    for (std::int64_t h = 0; h < before.heads; ++h) {
      if (h >= normed) {
        if (before.width > 0 && std::memcmp(before.at(token, h, 0), after.at(token, h, 0),
                                            head.size() * static_cast<std::size_t>(size_of(type))) != 0) {
          verdict.fail("qkv", token, h * before.width, "begins a v head that was changed");
        }
        continue;
      }
      double squares = 0;
      for (std::int64_t i = 0; i < before.width; ++i) {
        squares += before.value(token, h, i) * before.value(token, h, i);
      }
      const double factor = row_scale(squares, static_cast<double>(before.width), eps);
      for (std::int64_t i = 0; i < before.width; ++i) {
        const double weight = h < q ? q_weight(0, i) : k_weight(0, i);
        head[static_cast<std::size_t>(i)] = before.value(token, h, i) * factor * (weight + offset);
      }
      const double reach = turn ? turn(token, head) : 0;
      for (std::int64_t i = 0; i < before.width; ++i) {
        verdict.compare_within("qkv", token, h * before.width + i, type, after.value(token, h, i),
                               head[static_cast<std::size_t>(i)], reach, 1);
      }
    }
  }
  return verdict.result();
}

}  // namespace kerncast::reference
