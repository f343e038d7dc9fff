#pragma once

#include <string_view>

/// The names below a cache directory; store.hpp shows them as a tree.
namespace kerncast::cache::layout {

/// Named after entry_version, so that builds that read different versions do not meet in one file.
constexpr std::string_view entries = "v1";
constexpr std::string_view quarantine = "quarantine";
constexpr std::string_view locks = "locks";
constexpr std::string_view sessions = "sessions";
constexpr std::string_view compilers = "compilers";
constexpr std::string_view counters = "counters";
constexpr std::string_view index = "index.sqlite";
/// Sources that a compile worker failed at.
constexpr std::string_view failed = "failed";
constexpr std::string_view tuning = "tuning.sqlite";
constexpr std::string_view tuning_copy = "tuning.good.sqlite";
constexpr std::string_view entry_suffix = ".kce";
constexpr std::string_view session_suffix = ".kcs";

/// In locks: held by the process that evicts, and by the one that adds up counters.
constexpr std::string_view trim_lock = "trim";
constexpr std::string_view counters_lock = "counters";

}  // namespace kerncast::cache::layout
