#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/posix/descriptor.hpp"
#include "cache/posix/folder.hpp"

namespace kerncast::cache {

enum class SetAside : std::uint8_t {
  moved,
  replaced,  ///< another file has taken the name meanwhile; it was left there
  failed,    ///< the file is where it was
};

/// Moves what `bad` holds open from `name` in `folder` to `quarantine`, under `kept_name` or, where that is
/// taken by something that cannot be replaced, a name that begins with it. Another process may publish a good
/// file under `name` at any moment: it is never taken, except for an instant, after which it is put back.
[[nodiscard]] SetAside set_aside(const Folder& folder, std::string_view name, const Descriptor& bad,
                                 const Folder& quarantine, std::string_view kept_name);

}  // namespace kerncast::cache
