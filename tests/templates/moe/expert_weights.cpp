#include "tests/templates/moe/expert_weights.hpp"

#include <cmath>

#include "templates/reference/block_scaled.hpp"
#include "templates/reference/host_float.hpp"
#include "tests/templates/samples.hpp"

namespace kerncast::test {
namespace {

/// The rows and the elements of a row of a matrix that share a scale.
struct ScaleBlock {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
};

ScaleBlock block_of(WeightForm form, std::int64_t k) {
  switch (form) {
    case WeightForm::fp8_blocks:
      return {128, 128};
    case WeightForm::mxfp4:
    case WeightForm::int4:
      return {1, 32};
    default:
      return {1, k};
  }
}

std::size_t elements(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

/// Fills in matrices of 4 bits. Returns their values before the scales.
std::vector<double> pack(ExpertWeights& made, WeightForm form, std::int64_t count, std::uint64_t seed) {
  made.type = DType::u8;
  made.dims.back() /= 2;
  Samples random(seed);
  std::vector<double> values;
  values.reserve(elements(count));
  made.bytes.reserve(elements(count / 2));
  for (std::int64_t i = 0; i < count / 2; ++i) {
    const auto byte = static_cast<unsigned>(random.bits() & 255U);
    made.bytes.push_back(static_cast<std::byte>(byte));
    for (const unsigned nibble : {byte & 15U, byte >> 4U}) {
      values.push_back(form == WeightForm::mxfp4 ? reference::decode_e2m1(nibble) : nibble - 8.0);
    }
  }
  return values;
}

/// The bytes of `count` scales around `centre`. Those of ue8m0 are powers of two.
std::vector<std::byte> scale_bytes(DType type, std::int64_t count, double centre, std::uint64_t seed) {
  if (type != DType::ue8m0) {
    return to_bytes(type, samples(elements(count), seed, 0.15 * centre, centre));
  }
  int exponent = 0;
  static_cast<void>(std::frexp(centre, &exponent));
  std::vector<std::byte> made;
  made.reserve(elements(count));
  Samples random(seed);
  for (std::int64_t i = 0; i < count; ++i) {
    made.push_back(static_cast<std::byte>(126 + exponent - static_cast<int>(random.bits() % 3)));
  }
  return made;
}

}  // namespace

std::vector<double> decoded(DType type, const std::vector<std::byte>& bytes) {
  const auto element = static_cast<std::size_t>(size_of(type));
  std::vector<double> made(bytes.size() / element);
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i] = reference::decode(type, bytes.data() + i * element);
  }
  return made;
}

ExpertWeights expert_weights(WeightForm form, DType plain_type, std::int64_t experts, std::int64_t n,
                             std::int64_t k, double spread, std::uint64_t seed) {
  const std::int64_t count = experts * n * k;
  ExpertWeights made;
  made.dims = {experts, n, k};
  if (form == WeightForm::plain) {
    made.type = plain_type;
    made.bytes = to_bytes(plain_type, samples(elements(count), seed, spread));
    made.values = decoded(plain_type, made.bytes);
    return made;
  }
  double deviation = 1;  // of the elements before the scales
  if (form == WeightForm::mxfp4 || form == WeightForm::int4) {
    made.values = pack(made, form, count, seed);
    made.scale_type = form == WeightForm::mxfp4 ? DType::ue8m0 : DType::bf16;
    deviation = form == WeightForm::mxfp4 ? 2.9 : 4.6;
  } else {
    made.type = form == WeightForm::int8 ? DType::i8 : DType::fp8_e4m3;
    deviation = form == WeightForm::int8 ? 40 : 1;
    made.bytes = to_bytes(made.type, samples(elements(count), seed, deviation));
    made.values = decoded(made.type, made.bytes);
  }
  const ScaleBlock block = block_of(form, k);
  const std::int64_t groups = k / block.columns;
  const std::int64_t row_blocks = n / block.rows;
  made.scale_dims = {experts, row_blocks, groups};
  if (form == WeightForm::fp8_rows || form == WeightForm::int8) {
    made.scale_dims.pop_back();
  }
  made.scales = scale_bytes(made.scale_type, experts * row_blocks * groups, spread / deviation, seed + 100);
  const std::vector<double> scales = decoded(made.scale_type, made.scales);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row_block = i / k / block.rows;
    made.values[elements(i)] *= scales[elements(row_block * groups + i % k / block.columns)];
  }
  return made;
}

}  // namespace kerncast::test
