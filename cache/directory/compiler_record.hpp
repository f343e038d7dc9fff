#pragma once

#include <optional>
#include <string>

#include "cache/directory/store.hpp"

namespace kerncast::cache {

/// A compiler that a process has loaded: what the keys of its kernels need, and the file that it is.
struct CompilerRecord {
  std::string version;
  std::string library;   ///< absolute path of the file that was loaded
  std::string identity;  ///< of that file when it was loaded, as text that changes when the file does

  [[nodiscard]] bool operator==(const CompilerRecord&) const = default;
};

/// The record of the compiler that a search found once, so that a process which finds its kernels in the
/// cache need not load it:
///
///     ROOT/nvrtc/HEX.kcn   one for each `search`, which is all that decides what the search finds
///
/// The caller compares the identity with the file's present one. Empty if there is no record, or if it is not
/// intact, not of this `search`, or not trusted.
[[nodiscard]] std::optional<CompilerRecord> recall_compiler(Store& store, const std::string& search);

/// Writes the record of `search`, unless the directory has the same one. False, without a warning, if that
/// cannot be done: nothing is lost but time. The directory itself is not created. The oldest records of many
/// go; see reap_surplus().
bool record_compiler(Store& store, const std::string& search, const CompilerRecord& record);

}  // namespace kerncast::cache
