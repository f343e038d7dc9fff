#include "cache/posix/file.hpp"

#include <filesystem>

#include "cache/posix/folder.hpp"

namespace kerncast::cache {

std::optional<std::string> read_file(const std::string& path, std::uint64_t limit) {
  const std::filesystem::path whole = path;
  const Folder folder = Folder::open(whole.has_parent_path() ? whole.parent_path().string() : ".");
  FileContent content = folder.read(whole.filename().string(), limit);
  return content.state == FileContent::State::read ? std::optional(std::move(content.bytes)) : std::nullopt;
}

}  // namespace kerncast::cache
