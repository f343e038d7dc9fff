#pragma once

#include <string_view>

namespace kerncast::simulator::testing {

/// The outcome for one text.
enum class Outcome { refused, decoded, ran };

/// Decodes `ptx` for old and new devices. If one takes it, launches each of its kernels on a small grid with
/// bounded work, once with all checks and counts and once with none. Anything but a DecodeError or a Fault is
/// a mistake of the virtual GPU. Throws std::logic_error if it finds one, and leaves the rest to sanitizers.
Outcome decode_and_run(std::string_view ptx);

}  // namespace kerncast::simulator::testing
