#include "templates/moe/grouped_gemm/scale_checks.hpp"

#include <fmt/format.h>

#include <string_view>

#include "templates/host/checks.hpp"
#include "templates/host/tensor_check.hpp"
#include "templates/host/typed_op.hpp"

namespace kerncast::moe {
namespace {

constexpr std::string_view gemm = GroupedGemm::op_name;

/// The scales of blocks, of which one tensor at least has the form.
GemmScales block_scales_of(const GroupedGemm& arguments, std::int64_t rows) {
  const TensorView& a = arguments.a_scales;
  const TensorView& b = arguments.b_scales;
  if (arguments.a.dtype != DType::fp8_e4m3) [[unlikely]] {
    host::refuse_dtype(gemm, "a", arguments.a.dtype, "fp8_e4m3 if it has scales of 128 elements");
  }
  const std::int64_t groups = host::divide_up(arguments.a.dim(-1), std::int64_t{128});
  const std::int64_t count = arguments.b.dim(0);
  const std::int64_t row_blocks = host::divide_up(arguments.b.dim(1), std::int64_t{128});
  if (a.rank != 2 || a.dim(0) != rows || a.dim(1) != groups) [[unlikely]] {
    host::refuse_shape(gemm, "a_scales", a,
                       fmt::format("[{}, {}], one for each 128 elements of a row of a, as b_scales has "
                                   "them for blocks of 128 rows and 128 elements",
                                   rows, groups));
  }
  if (b.rank != 3 || b.dim(0) != count || b.dim(1) != row_blocks || b.dim(2) != groups) [[unlikely]] {
    host::refuse_shape(gemm, "b_scales", b,
                       fmt::format("[{}, {}, {}], one for each 128 rows and 128 elements of b, as a_scales "
                                   "has them for 128 elements",
                                   count, row_blocks, groups));
  }
  return {.form = ScaleForm::blocks,
          .a = a.stride(0),
          .a_group = a.stride(1),
          .b_expert = b.stride(0),
          .b = b.stride(1),
          .b_group = b.stride(2)};
}

/// The scales of b of 4 bits.
GemmScales packed_scales_of(const GroupedGemm& arguments) {
  const TensorView& view = arguments.b_scales;
  const host::TensorCheck check(gemm, "b_scales", view);
  check.is_present();
  if (view.dtype != DType::ue8m0 && view.dtype != DType::bf16) [[unlikely]] {
    host::refuse_dtype(gemm, "b_scales", view.dtype, "ue8m0 (b is fp4 e2m1) or bf16 (b is int4)");
  }
  if (!arguments.a_scales.absent()) [[unlikely]] {
    host::refuse(gemm, "a_scales is given, but rows of a have no scales if b has 4 bits");
  }
  const std::int64_t groups = arguments.a.dim(-1) / 32;
  const std::int64_t count = arguments.b.dim(0);
  const std::int64_t columns = arguments.b.dim(1);
  if (view.rank != 3 || view.dim(0) != count || view.dim(1) != columns || view.dim(2) != groups)
      [[unlikely]] {
    host::refuse_shape(
        gemm, "b_scales", view,
        fmt::format("[{}, {}, {}], one for each 32 elements of a row of b", count, columns, groups));
  }
  if (view.stride(2) != 1 && groups > 1) [[unlikely]] {
    host::refuse_last_stride(gemm, "b_scales", view);
  }
  check.has_data(1).is_on_device_of("a", arguments.a).is_aligned({});
  const auto bytes = static_cast<std::uint64_t>(size_of(view.dtype));
  const std::uint64_t bits = reinterpret_cast<std::uintptr_t>(view.data) |
                             (count > 1 ? static_cast<std::uint64_t>(view.stride(0)) * bytes : 0U) |
                             (columns > 1 ? static_cast<std::uint64_t>(view.stride(1)) * bytes : 0U);
  GemmScales made;
  made.form = view.dtype == DType::ue8m0 ? ScaleForm::mxfp4 : ScaleForm::int4;
  made.b_expert = view.stride(0);
  made.b = view.stride(1);
  made.alignment = host::alignment_of(bits);
  // Accesses of less than four bytes read nothing past the end of a row.
  if (made.alignment < 4) {
    made.alignment = host::alignment_of(bits | static_cast<std::uint64_t>(groups) * bytes);
  }
  return made;
}

}  // namespace

GemmScales check_gemm_scales(const GroupedGemm& arguments, std::int64_t rows) {
  const TensorView& a = arguments.a_scales;
  const TensorView& b = arguments.b_scales;
  if (arguments.b.dtype == DType::u8) {
    return packed_scales_of(arguments);
  }
  if (size_of(arguments.a.dtype) != 1) [[unlikely]] {
    host::refuse_dtype(gemm, "a", arguments.a.dtype, "fp8_e4m3 or i8 if it has scales");
  }
  const auto check = [&](std::string_view name, const TensorView& view) {
    host::TensorCheck(gemm, name, view)
        .is_present()
        .has_dtype(DType::f32)
        .has_data(rows)
        .is_on_device_of("a", arguments.a)
        .is_aligned({});
  };
  check("a_scales", a);
  check("b_scales", b);
  if (a.rank == 2 || b.rank == 3) {
    return block_scales_of(arguments, rows);
  }
  if (a.rank != 1 || (a.dim(0) != rows && a.dim(0) != 1)) [[unlikely]] {
    host::refuse_shape(gemm, "a_scales", a, fmt::format("[{}], one for each row of a, or [1]", rows));
  }
  const std::int64_t count = arguments.b.dim(0);
  const std::int64_t columns = arguments.b.dim(1);
  if (b.rank < 1 || b.rank > 2 || b.dim(0) != count || (b.rank == 2 && b.dim(1) != columns)) [[unlikely]] {
    host::refuse_shape(gemm, "b_scales", b, fmt::format("[{}, {}] or [{}]", count, columns, count));
  }
  GemmScales made;
  made.a = a.dim(0) == 1 ? 0 : a.stride(0);
  made.b_expert = b.stride(0);
  made.b = b.rank == 2 ? b.stride(1) : 0;
  return made;
}

}  // namespace kerncast::moe
