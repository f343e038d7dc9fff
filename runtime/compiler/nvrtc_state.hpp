#pragma once

#include <string>

namespace kerncast::compiler {

/// The file at `path` as text that changes when the file does: device, inode, size, and the times of its last
/// changes in nanoseconds. Symbolic links are followed. "absent" if there is none.
[[nodiscard]] std::string file_identity(const std::string& path);

/// Everything on this machine that decides which library load_nvrtc(choice) takes, as text: the libraries
/// that it tries, and the identities of their files. A library that is asked for by name alone is where the
/// dynamic loader looks, so the text has its folders and the identity of its cache, /etc/ld.so.cache. Nothing
/// is loaded. Empty if that cannot be told: NVRTC is switched off, a library of such a name is in the process
/// already, or the loader is audited (LD_AUDIT) and does not say where it looks.
[[nodiscard]] std::string nvrtc_state(const std::string& choice);

}  // namespace kerncast::compiler
