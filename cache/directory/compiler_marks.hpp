#pragma once

#include <string>
#include <string_view>

#include "cache/entry.hpp"
#include "cache/posix/folder.hpp"
#include "cache/read_only_layer.hpp"

namespace kerncast::cache {

/// The version of the compiler that made `entry`; empty where its key fields do not tell.
[[nodiscard]] std::string compiler_of(const Entry& entry);

/// Notes below the cache directory `root` that it may hold entries of `version`:
///
///     ROOT/compilers/13.0       an empty file
///     ROOT/compilers/unmarked   entries were there before the first mark
///
/// so that who has no compiler need not look for the entries of every one there ever was. It comes before the
/// first such entry. False where it cannot be written.
bool mark_compiler(const Folder& root, std::string_view version);

/// What the marks below `root` say.
[[nodiscard]] Compilers marked_compilers(const Folder& root);

}  // namespace kerncast::cache
