#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kerncast::simulator {

/// The place in the source that a PTX line came from, as the .loc directives before it say.
struct SourcePlace {
  std::string_view file;  ///< as the PTX names it; empty if there is no line info
  int line = 0;           ///< counted from 1; 0 if there is none
};

/// The line info of one PTX text. It is built on request, since decoding does not need it.
class SourceMap {
 public:
  explicit SourceMap(std::string_view ptx);
  [[nodiscard]] SourcePlace at(int ptx_line) const;

 private:
  struct Location {
    int ptx_line;
    int file;
    int line;
  };
  struct File {
    int number;
    std::string name;
  };
  std::vector<Location> locations_;  ///< by PTX line; file -1 ends what came before
  std::vector<File> files_;
};

}  // namespace kerncast::simulator
