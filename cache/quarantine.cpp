#include "cache/quarantine.hpp"

#include <cstdio>

#include "cache/layout.hpp"

namespace kerncast::cache {
namespace {

bool rename(const Folder& from, const std::string& old_name, const Folder& to, const std::string& new_name) {
  return ::renameat(from.fd(), old_name.c_str(), to.fd(), new_name.c_str()) == 0;
}

}  // namespace

SetAside set_aside(const Folder& folder, std::string_view name, const Descriptor& bad,
                   const Folder& quarantine, std::string_view kept_name) {
  if (!bad.valid()) {
    return SetAside::failed;
  }
  if (!folder.names(name, bad.get())) {
    return SetAside::replaced;
  }
  if (!quarantine.valid()) {
    return SetAside::failed;
  }
  // An open file cannot be renamed, only a name. So move the name first, then check which file was moved.
  const std::string from(name);
  const std::string passage = temporary_name();
  if (!rename(folder, from, quarantine, passage)) {
    return folder.names(name, bad.get()) ? SetAside::failed : SetAside::replaced;
  }
  if (!quarantine.names(passage, bad.get())) {
    // This overwrites a third file if one has arrived by now; either of the two serves the key.
    rename(quarantine, passage, folder, from);
    return SetAside::replaced;
  }
  const std::string kept(kept_name);
  if (!rename(quarantine, passage, quarantine, kept)) {
    rename(quarantine, passage, quarantine,
           kept + passage.substr(temporary_prefix.size() - 1) + std::string(layout::entry_suffix));
  }
  return SetAside::moved;
}

}  // namespace kerncast::cache
