#include "tests/templates/moe/grouped_gemm_case.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <kerncast/ops/moe/align_block_size.hpp>
#include "tests/templates/moe/expert_ids.hpp"

namespace kerncast::test {

std::vector<std::byte> random_bytes(std::int64_t count, std::uint64_t seed, std::uint64_t first,
                                    std::uint64_t values) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  Samples random(seed);
  for (std::byte& byte : bytes) {
    byte = static_cast<std::byte>(first + random.bits() % values);
  }
  return bytes;
}

namespace {

TensorCase integers(const char* name, const std::vector<double>& values) {
  return {.name = name,
          .dtype = DType::i32,
          .shape = {static_cast<std::int64_t>(values.size())},
          .bytes = to_bytes(DType::i32, values)};
}

/// b of four bits and its scales.
std::vector<TensorCase> packed_matrices(const GemmCase& of) {
  const std::int64_t groups = of.k / 32;
  TensorCase b{.name = "b",
               .dtype = DType::u8,
               .shape = {of.experts, of.n, of.k / 2},
               .bytes = random_bytes(of.experts * of.n * of.k / 2, of.seed + 1, 0, 256)};
  TensorCase scales{
      .name = "b_scales",
      .dtype = of.packed_scales,
      .shape = {of.experts, of.n, groups},
      .bytes = of.packed_scales == DType::ue8m0
                   ? random_bytes(of.experts * of.n * groups, of.seed + 4, 119, 6)
                   : to_bytes(DType::bf16, samples(static_cast<std::size_t>(of.experts * of.n * groups),
                                                   of.seed + 4, 0.02))};
  if (of.scale_stride > 0) {
    scales.strides = {of.n * of.scale_stride, of.scale_stride, 1};
  }
  return {std::move(b), std::move(scales)};
}

}  // namespace

Grouping grouping_of(const std::vector<double>& ids, std::int64_t experts, std::int64_t block) {
  Grouping made;
  const auto slots = static_cast<std::int64_t>(ids.size());
  const std::int64_t places =
      moe::align_block_size_places(slots, static_cast<int>(experts), static_cast<int>(block));
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] == static_cast<double>(e)) {
        made.sorted.push_back(static_cast<double>(i));
      }
    }
    while (made.sorted.size() % static_cast<std::size_t>(block) != 0) {
      made.sorted.push_back(static_cast<double>(slots));
    }
    made.expert.resize(made.sorted.size() / static_cast<std::size_t>(block), static_cast<double>(e));
  }
  made.total = {static_cast<double>(made.sorted.size())};
  made.sorted.resize(static_cast<std::size_t>(places), static_cast<double>(slots));
  made.expert.resize(static_cast<std::size_t>(places / block), -1.0);
  return made;
}

OpCase make_case(const GemmCase& of, const std::vector<double>& ids) {
  const std::int64_t slots = of.tokens * of.top_k;
  const std::int64_t rows = of.expanded ? slots : of.tokens;
  const Grouping grouping = grouping_of(ids, of.experts, of.block);
  OpCase made;
  made.op = "moe.grouped_gemm";
  made.params = {{"top_k", std::to_string(of.expanded ? 1 : of.top_k)}, {"block", std::to_string(of.block)}};
  made.tensors = {input_rows("a", of.type, {rows, of.k}, of.seed),
                  {.name = "b",
                   .dtype = of.type,
                   .shape = {of.experts, of.n, of.k},
                   .bytes = to_bytes(of.type, samples(static_cast<std::size_t>(of.experts * of.n * of.k),
                                                      of.seed + 1, 0.1))},
                  integers("sorted", grouping.sorted),
                  integers("expert", grouping.expert),
                  integers("total", grouping.total),
                  output_rows("c", of.c, {slots, of.gated ? of.n / 2 : of.n})};
  if (of.bits == 4) {
    drop_tensor(made, "b");
    for (TensorCase& tensor : packed_matrices(of)) {
      made.tensors.push_back(std::move(tensor));
    }
  } else if (of.scales == 3) {
    const std::int64_t groups = (of.k + 127) / 128;
    const std::int64_t blocks = (of.n + 127) / 128;
    TensorCase a_scales = input_rows("a_scales", DType::f32, {rows, groups}, of.seed + 3);
    if (of.by_rows) {
      a_scales.strides = {1, rows + 3};
    }
    made.tensors.push_back(std::move(a_scales));
    made.tensors.push_back(
        {.name = "b_scales",
         .dtype = DType::f32,
         .shape = {of.experts, blocks, groups},
         .bytes = to_bytes(DType::f32,
                           samples(static_cast<std::size_t>(of.experts * blocks * groups), of.seed + 4))});
  } else if (of.scales > 0) {
    const std::int64_t a_scales = of.scales == 1 ? 1 : rows;
    made.tensors.push_back(input_vector("a_scales", DType::f32, a_scales, of.seed + 3, 0.5));
    TensorCase b_scales = of.scales == 1
                              ? input_vector("b_scales", DType::f32, of.experts, of.seed + 4, 0.5)
                              : input_rows("b_scales", DType::f32, {of.experts, of.n}, of.seed + 4);
    made.tensors.push_back(std::move(b_scales));
  }
  if (of.gated) {
    made.params.emplace_back("activation", of.activation);
    if (of.limit > 0) {
      made.scalars.emplace_back("limit", of.limit);
    }
  }
  if (of.bias != DType::i32) {
    made.tensors.push_back(input_rows("bias", of.bias, {of.experts, of.n}, of.seed + 5));
  }
  if (of.weighted) {
    made.tensors.push_back(input_vector("weights", DType::f32, slots, of.seed + 2, 0.2));
  }
  return made;
}

OpCase make_case(const GemmCase& of) {
  const std::int64_t slots = of.tokens * of.top_k;
  return make_case(
      of, of.strays ? ids_with_strays(slots, of.experts, of.seed) : expert_ids(slots, of.experts, of.seed));
}

std::vector<std::byte> row_of_c(const Outcome& outcome, std::int64_t row) {
  const HostTensor& c = *outcome.input.tensor("c");
  const std::int64_t bytes = c.shape[1] * size_of(c.dtype);
  const auto first = c.bytes.begin() + static_cast<std::ptrdiff_t>(row * bytes);
  return {first, first + static_cast<std::ptrdiff_t>(bytes)};
}

bool is_untouched(const std::vector<std::byte>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0xcd}; });
}

}  // namespace kerncast::test
