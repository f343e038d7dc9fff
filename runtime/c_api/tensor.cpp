#include "runtime/c_api/tensor.hpp"

#include <algorithm>
#include <optional>

#include "runtime/c_api/error.hpp"

namespace kerncast::c_api {
namespace {

static_assert(KERNCAST_MAX_RANK == TensorView::max_rank);
static_assert(KERNCAST_F64 == static_cast<int>(DType::f64));

struct KnownType {
  int code;
  int bits;
  DType type;
};

constexpr KnownType known_types[] = {{KERNCAST_DL_FLOAT, 32, DType::f32},
                                     {KERNCAST_DL_FLOAT, 16, DType::f16},
                                     {KERNCAST_DL_BFLOAT, 16, DType::bf16},
                                     {KERNCAST_DL_FLOAT8_E4M3FN, 8, DType::fp8_e4m3},
                                     {KERNCAST_DL_FLOAT8_E5M2, 8, DType::fp8_e5m2},
                                     {KERNCAST_DL_FLOAT8_E8M0FNU, 8, DType::ue8m0},
                                     {KERNCAST_DL_INT, 8, DType::i8},
                                     {KERNCAST_DL_UINT, 8, DType::u8},
                                     {KERNCAST_DL_BOOL, 8, DType::u8},
                                     {KERNCAST_DL_INT, 32, DType::i32},
                                     {KERNCAST_DL_INT, 64, DType::i64},
                                     {KERNCAST_DL_FLOAT, 64, DType::f64}};

[[noreturn]] void refuse(const char* name, const std::string& why) {
  throw Error(ErrorCode::invalid_argument, fmt::format("tensor '{}': {}", name, why));
}

DType dtype_of(const kerncast_dl_data_type& type, const char* name) {
  const auto* found = std::find_if(
      std::begin(known_types), std::end(known_types),
      [&](const KnownType& known) { return known.code == type.code && known.bits == type.bits; });
  if (found == std::end(known_types) || type.lanes != 1) {
    refuse(name,
           fmt::format(
               "no op takes elements of DLPack code {}, {} bits and {} lanes; kerncast/dlpack.h lists the "
               "codes, and packed types are passed as bytes",
               type.code, type.bits, type.lanes));
  }
  return found->type;
}

void require_device(const kerncast_dl_device& device, const char* name) {
  const auto kind = static_cast<int>(device.device_type);
  if (kind != KERNCAST_DL_CUDA && kind != KERNCAST_DL_CUDA_MANAGED) {
    refuse(name, fmt::format(
                     "its DLPack device type is {}, not CUDA (2) or managed CUDA memory (13); copy it to the "
                     "device first",
                     kind));
  }
  if (device.device_id < 0) {
    refuse(name, fmt::format("device {} does not exist", device.device_id));
  }
}

void fill_extents(const kerncast_dl_tensor& tensor, const char* name, TensorView& view) {
  std::int64_t stride = 1;
  for (int i = tensor.ndim - 1; i >= 0; --i) {
    const auto place = static_cast<std::size_t>(i);
    if (tensor.shape[i] < 0) {
      refuse(name, fmt::format("dimension {} has {} elements", i, tensor.shape[i]));
    }
    view.shape[place] = tensor.shape[i];
    view.strides[place] = tensor.strides != nullptr ? tensor.strides[i] : stride;
    if (__builtin_mul_overflow(stride, tensor.shape[i], &stride)) {
      refuse(name, "it has more than 2^63 elements");
    }
  }
}

}  // namespace

TensorView view_of(const kerncast_dl_tensor& tensor, const char* name) {
  require_device(tensor.device, name);
  if (tensor.ndim < 0 || tensor.ndim > TensorView::max_rank) {
    refuse(name,
           fmt::format("a tensor has at most {} dimensions, not {}", TensorView::max_rank, tensor.ndim));
  }
  if (tensor.ndim > 0 && tensor.shape == nullptr) {
    refuse(name, "its shape is NULL");
  }
  TensorView view;
  view.dtype = dtype_of(tensor.dtype, name);
  view.rank = tensor.ndim;
  view.device = tensor.device.device_id;
  view.data = tensor.data == nullptr ? nullptr : static_cast<char*>(tensor.data) + tensor.byte_offset;
  fill_extents(tensor, name, view);
  return view;
}

kerncast_tensor_view c_view_of(const TensorView& view) noexcept {
  kerncast_tensor_view out{};
  out.data = view.data;
  out.dtype = static_cast<std::int32_t>(view.dtype);
  out.rank = view.rank;
  out.device = view.device;
  std::copy(view.shape.begin(), view.shape.end(), out.shape);
  std::copy(view.strides.begin(), view.strides.end(), out.strides);
  return out;
}

}  // namespace kerncast::c_api
