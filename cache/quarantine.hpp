#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

/// The outcome of moving a file away.
enum class SetAside : std::uint8_t {
  moved,
  replaced,  ///< another file has the name by now, and was left there
  failed,    ///< the file is still in its place
};

/// Moves the file that `bad` holds open from `name` in `folder` to `quarantine`, under the name `kept_name`.
/// If something that cannot be replaced has that name, the new name only begins with it. Another process may
/// publish a good file under `name` at any moment. Such a file is moved for an instant at most and then put
/// back.
[[nodiscard]] SetAside set_aside(const Folder& folder, std::string_view name, const Descriptor& bad,
                                 const Folder& quarantine, std::string_view kept_name);

}  // namespace kerncast::cache
