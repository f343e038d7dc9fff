#pragma once

#include "norm/shared/added_rms/added_rms_args.h"

namespace kerncast::norm {

/// The kernel's argument.
using FusedAddRmsNormKernelArgs = AddedRmsArgs;

}  // namespace kerncast::norm
