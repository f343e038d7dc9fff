#pragma once

#include <string>
#include <string_view>

#include "cache/entry.hpp"
#include "cache/posix/folder.hpp"
#include "cache/read_only_layer.hpp"

namespace kerncast::cache {

/// The version of the compiler that made `entry`. Empty if its key fields do not contain it.
[[nodiscard]] std::string compiler_of(const Entry& entry);

/// Notes in the cache directory `root` that it may hold entries of the compiler `version`:
///
///     ROOT/compilers/13.0       an empty file
///     ROOT/compilers/unmarked   entries existed before the first mark was written
///
/// A process without a compiler reads these marks, so that it need not try the keys of every version that
/// ever existed. The mark is written before the first such entry. False if it cannot be written.
bool mark_compiler(const Folder& root, std::string_view version);

/// The compilers that the marks in `root` name.
[[nodiscard]] Compilers marked_compilers(const Folder& root);

}  // namespace kerncast::cache
