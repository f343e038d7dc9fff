#pragma once

/// Everything that a C++ host needs but the headers of the ops, such as <kerncast/ops/norm/rms_norm.hpp>.
#include "kerncast/device_buffer.hpp"  // IWYU pragma: export
#include "kerncast/dtype.hpp"          // IWYU pragma: export
#include "kerncast/error.hpp"          // IWYU pragma: export
#include "kerncast/launch.hpp"         // IWYU pragma: export
#include "kerncast/op.hpp"             // IWYU pragma: export
#include "kerncast/owned_stream.hpp"   // IWYU pragma: export
#include "kerncast/runtime.hpp"        // IWYU pragma: export
#include "kerncast/tensor.hpp"         // IWYU pragma: export
#include "kerncast/version.hpp"        // IWYU pragma: export
