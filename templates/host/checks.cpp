#include "templates/host/checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace kerncast::host {

namespace {

std::string list(const std::array<std::int64_t, TensorView::max_rank>& values, int rank) {
  const auto end = values.begin() + std::clamp(rank, 0, TensorView::max_rank);
  return fmt::format("[{}]", fmt::join(values.begin(), end, ", "));
}

}  // namespace

std::string shape_text(const TensorView& view) {
  return fmt::format("{} (strides {})", list(view.shape, view.rank), list(view.strides, view.rank));
}

void refuse(std::string_view op, const std::string& what) {
  throw Error(ErrorCode::invalid_argument, fmt::format("{}: {}", op, what));
}

void refuse_dtype(std::string_view op, std::string_view name, DType got, std::string_view wanted) {
  refuse(op, fmt::format("tensor '{}' is {}, but must be {}; convert it", name, name_of(got), wanted));
}

void refuse_rank(std::string_view op, std::string_view name, const TensorView& view) {
  refuse(op, view.absent() ? fmt::format("tensor '{}' is missing; it is required", name)
                           : fmt::format("tensor '{}' has rank {}, but must have 1 to {} dimensions", name,
                                         view.rank, TensorView::max_rank));
}

void refuse_shape(std::string_view op, std::string_view name, const TensorView& view,
                  std::string_view wanted) {
  refuse(op, fmt::format("tensor '{}' has shape {}, but must have {}", name, shape_text(view), wanted));
}

void refuse_shape_of(std::string_view op, std::string_view name, const TensorView& view,
                     std::string_view like_name, const TensorView& like) {
  refuse_shape(op, name, view, fmt::format("the shape of {}, {}", like_name, shape_text(like)));
}

void refuse_rows_like(std::string_view op, std::string_view name, const TensorView& view,
                      std::string_view like_name, const TensorView& like, std::int64_t width) {
  refuse_shape(op, name, view,
               width == like.dim(-1) ? fmt::format("the shape of {}, {}", like_name, shape_text(like))
                                     : fmt::format("the leading dimensions of {}, {}, and {} columns",
                                                   like_name, shape_text(like), width));
}

void refuse_null(std::string_view op, std::string_view name) {
  refuse(op, fmt::format("tensor '{}' has a null pointer; give it device memory", name));
}

void refuse_last_stride(std::string_view op, std::string_view name, const TensorView& view) {
  refuse(op, fmt::format(
                 "tensor '{}' of shape {} is not contiguous in its last dimension; make a contiguous copy",
                 name, shape_text(view)));
}

void refuse_leading(std::string_view op, std::string_view name, const TensorView& view) {
  refuse(op,
         fmt::format(
             "the leading dimensions of tensor '{}' of shape {} do not flatten to rows of one stride; make "
             "a contiguous copy or call once per slice",
             name, shape_text(view)));
}

void refuse_overlap(std::string_view op, std::string_view name, const TensorView& view) {
  refuse(op, fmt::format("the rows of output '{}' of shape {} overlap; give every row memory of its own",
                         name, shape_text(view)));
}

void refuse_misaligned(std::string_view op, std::string_view name, const TensorView& view) {
  refuse(op,
         fmt::format("the pointer {} of tensor '{}' is not a multiple of its element's {} bytes; align it",
                     view.data, name, size_of(view.dtype)));
}

void refuse_device(std::string_view op, std::string_view name, int got, std::string_view other, int wanted) {
  refuse(op,
         fmt::format(
             "tensor '{}' is on device {}, but '{}' is on device {}; all tensors of a call share one device",
             name, got, other, wanted));
}

void refuse_range(std::string_view op, std::string_view what, std::int64_t got, std::int64_t lowest,
                  std::int64_t highest) {
  refuse(op, fmt::format("{} is {}, but must be from {} to {}; nearest valid: {}", what, got, lowest, highest,
                         std::clamp(got, lowest, highest)));
}

}  // namespace kerncast::host
