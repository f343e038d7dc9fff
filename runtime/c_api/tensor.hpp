#pragma once

#include "kerncast/kerncast.h"
#include "kerncast/tensor.hpp"

namespace kerncast::c_api {

/// The view that a DLPack tensor describes. Throws Error(invalid_argument), which begins with `name`, for
/// memory of the host, a dtype that the library does not have, and a rank or extent that no view has.
[[nodiscard]] TensorView view_of(const kerncast_dl_tensor& tensor, const char* name);

/// The view as a bind function in C sees it.
[[nodiscard]] kerncast_tensor_view c_view_of(const TensorView& view) noexcept;

}  // namespace kerncast::c_api
