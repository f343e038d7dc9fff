#pragma once

#include <string_view>

/// The names below a cache directory. directory/store.hpp shows them as a tree.
namespace kerncast::cache::layout {

/// The folder of entries. It is named after entry_version, so that builds of different versions never use the
/// same file.
constexpr std::string_view entries = "v1";
constexpr std::string_view quarantine = "quarantine";
constexpr std::string_view locks = "locks";
/// The folder of usage files; see directory/process_usage.hpp.
constexpr std::string_view sessions = "sessions";
constexpr std::string_view compilers = "compilers";
/// The folder of what is known of compilers without loading them; see directory/compiler_record.hpp.
constexpr std::string_view compiler_records = "nvrtc";
constexpr std::string_view counters = "counters";
/// The log of what happened to the directory, and the one before it; see event_log.hpp.
constexpr std::string_view log = "log";
constexpr std::string_view old_log = "log.1";
constexpr std::string_view index = "index.sqlite";
/// The folder of sources at which a compile worker failed.
constexpr std::string_view failed = "failed";
constexpr std::string_view tuning = "tuning.sqlite";
constexpr std::string_view tuning_copy = "tuning.good.sqlite";
/// The folder of what a tuner tried; tools/tune/trials/trial_store.hpp describes its files.
constexpr std::string_view trials = "trials";
constexpr std::string_view entry_suffix = ".kce";
constexpr std::string_view session_suffix = ".kcs";
constexpr std::string_view compiler_record_suffix = ".kcn";
/// Ending of the sources of failed compiles.
constexpr std::string_view source_suffix = ".cu";

/// Names in the folder of locks: held by the process that evicts, the mark that it has not finished, and held
/// by the processes that add up counters and rename the log.
constexpr std::string_view trim_lock = "trim";
constexpr std::string_view trim_due = "trim-due";
constexpr std::string_view counters_lock = "counters";
constexpr std::string_view log_lock = "log";

}  // namespace kerncast::cache::layout
