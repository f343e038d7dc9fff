#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "cache/key.hpp"
#include "tools/verify/entry_verifier.hpp"
#include "tools/verify/source.hpp"

namespace kerncast::tools {

/// An entry that is not sound.
struct EntryDefect {
  cache::Key key;
  std::string op;  ///< empty if it is not known
  Finding finding;
  std::string outcome;  ///< what a repair did; empty without one
  bool left = true;     ///< false if the defect is gone
};

/// Another defect of a place: of its folders, its tuned records or its index.
struct PlaceDefect {
  std::string text;
  std::string outcome;
  bool left = true;
};

/// The findings of a verification of one place.
struct PlaceReport {
  std::string name;
  PlaceKind kind = PlaceKind::own_directory;
  std::uint64_t entries = 0;  ///< those that were verified
  std::uint64_t bytes = 0;    ///< cubin and PTX of the sound ones
  std::array<std::uint64_t, std::size(verdicts)> by_verdict{};
  std::uint64_t loaded = 0;
  std::uint64_t other_versions = 0;     ///< intact entries of another format version, which are left alone
  std::uint64_t asked = 0;              ///< of a server: keys that it was asked for
  std::optional<std::uint64_t> listed;  ///< of a server that lists what it holds: the entries in its list
  std::uint64_t tuned = 0;
  bool opened = true;  ///< false if the place could not be opened; its defect says why
  bool whole = true;   ///< false if only some entries were verified
  std::vector<EntryDefect> entry_defects;
  std::vector<PlaceDefect> place_defects;
  std::vector<std::string> notes;

  [[nodiscard]] std::uint64_t count(Verdict verdict) const {
    return by_verdict[static_cast<std::size_t>(verdict)];
  }
  /// The number of defects that are left.
  [[nodiscard]] std::uint64_t left() const;
};

/// The part of a place that is verified.
struct Bounds {
  std::size_t entries = static_cast<std::size_t>(-1);
  std::chrono::milliseconds time = std::chrono::hours(24 * 365);
  /// Called with the number of entries done and of all.
  std::function<void(std::size_t, std::size_t)> progress = nullptr;
};

/// Verifies the entries and the tuned records of `source`. Changes nothing. If `bounds` permit only some
/// entries, they are spread over all keys.
[[nodiscard]] PlaceReport verify(Source& source, const EntryVerifier& verifier, const Bounds& bounds = {});

}  // namespace kerncast::tools
