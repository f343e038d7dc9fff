#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kerncast::simulator {

/// Where a PTX line came from, as the .loc directives before it say.
struct SourcePlace {
  std::string_view file;  ///< as the PTX names it; empty where there is no line info
  int line = 0;           ///< 1-based; 0 where there is none
};

/// The line info of one PTX text. Made when somebody asks: decoding does without.
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
