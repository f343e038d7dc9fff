#include "cache/posix/file.hpp"

#include <filesystem>

#include "cache/posix/folder.hpp"
#include "cache/posix/layout.hpp"

namespace kerncast::cache {

std::optional<std::string> read_file(const std::string& path) {
  const std::filesystem::path whole = path;
  const Folder folder = Folder::open(whole.has_parent_path() ? whole.parent_path().string() : ".");
  FileContent content = folder.read(whole.filename().string(), layout::max_entry_bytes);
  return content.state == FileContent::State::read ? std::optional(std::move(content.bytes)) : std::nullopt;
}

}  // namespace kerncast::cache
