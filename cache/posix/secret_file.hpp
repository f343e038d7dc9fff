#pragma once

#include <cstddef>
#include <string>

#include "cache/posix/trust.hpp"

namespace kerncast::cache {

/// The text of a file that holds a secret: a key or a password. The file has to be a regular one that `trust`
/// accepts, and so does the way to it (see open_trusted()); nobody but its owner may open it. The memory is
/// overwritten when the object is destroyed.
class SecretFile {
 public:
  static constexpr std::size_t most_bytes = std::size_t{1} << 20;

  SecretFile(const std::string& path, const Trust& trust);
  ~SecretFile();
  SecretFile(const SecretFile&) = delete;
  SecretFile& operator=(const SecretFile&) = delete;

  /// Empty if the file cannot be used.
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The reason why the file cannot be used; empty if it can. No part of the text is in it.
  [[nodiscard]] const std::string& defect() const { return defect_; }

 private:
  std::string text_;
  std::string defect_;
};

}  // namespace kerncast::cache
