#pragma once

#include <string>
#include <vector>

namespace kerncast::compiler {

/// The names that the loader is asked for, newest first. A newer NVRTC still supports every architecture that
/// the templates target.
constexpr const char* nvrtc_sonames[] = {"libnvrtc.so.13", "libnvrtc.so.12"};

/// The libraries to try, in order, and what a message about a search without success says.
struct NvrtcPlaces {
  std::vector<std::string> libraries;  ///< a name without a slash is looked up by the dynamic loader
  std::vector<std::string> searched;   ///< the places that were looked into
  std::string advice;
};

/// `choice`, or what KERNCAST_NVRTC says if it is empty.
[[nodiscard]] std::string nvrtc_choice(const std::string& choice);

/// The libraries that a search for `wanted` tries, which is not "none"; load_nvrtc() describes the order.
/// Files are looked for, and none is opened.
[[nodiscard]] NvrtcPlaces nvrtc_places(const std::string& wanted);

}  // namespace kerncast::compiler
