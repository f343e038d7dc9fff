#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/templates/cases.hpp"

namespace kerncast::test {

/// The shapes, types and settings of a call of moe.grouped_gemm.
struct GemmCase {
  std::int64_t tokens = 5;
  std::int64_t n = 96;
  std::int64_t k = 256;
  std::int64_t experts = 8;
  std::int64_t top_k = 2;
  std::int64_t block = 16;
  DType type = DType::bf16;
  DType c = DType::bf16;
  bool weighted = false;
  bool strays = false;    ///< some ids name no expert
  bool expanded = false;  ///< a has a row for each slot, as in the second product of a layer
  int scales = 0;         ///< 1: of the tensors, 2: of rows and columns, 3: of blocks of 128
  bool by_rows = false;   ///< scales of blocks of a have rows as the contiguous dimension
  bool gated = false;     ///< an activation
  const char* activation = "silu_and_mul";
  double limit = 0;
  DType bias = DType::i32;             ///< i32: none
  int bits = 16;                       ///< 4: b is packed, with scales of 32 elements
  DType packed_scales = DType::ue8m0;  ///< ue8m0: b is e2m1; bf16: integers
  std::int64_t scale_stride = 0;       ///< elements between rows of packed scales; 0: none between them
  std::uint64_t seed = 1;
};

/// The results of moe.align_block_size.
struct Grouping {
  std::vector<double> sorted;
  std::vector<double> expert;
  std::vector<double> total;
};

/// `count` random bytes from `first` to first + values - 1.
std::vector<std::byte> random_bytes(std::int64_t count, std::uint64_t seed, std::uint64_t first,
                                    std::uint64_t values);

/// The grouping of `ids`, of which others than 0 to experts - 1 name no expert.
Grouping grouping_of(const std::vector<double>& ids, std::int64_t experts, std::int64_t block);

/// A case with random data, whose slots have the experts `ids`.
OpCase make_case(const GemmCase& of, const std::vector<double>& ids);
/// A case whose slots have random experts.
OpCase make_case(const GemmCase& of);

/// Row `row` of c.
std::vector<std::byte> row_of_c(const Outcome& outcome, std::int64_t row);

/// True if the bytes are those of an output that nobody wrote.
bool is_untouched(const std::vector<std::byte>& bytes);

}  // namespace kerncast::test
