#include "runtime/simulator/machine/source_map.hpp"

#include <catch2/catch.hpp>

using kerncast::simulator::SourceMap;

TEST_CASE("a PTX line belongs to the .loc before it") {
  const SourceMap map(
      ".version 8.6\n"                                                                            // 1
      ".entry a()\n{\n"                                                                           // 2, 3
      "  .loc\t1 45 3\n"                                                                          // 4
      "  mov.u32 %r1, 0;\n"                                                                       // 5
      "  add.u32 %r1, %r1, 1;\n"                                                                  // 6
      "  .loc 2 7 1, function_name $L__info_string0, inlined_at 1 46 5\n"                         // 7
      "  ret;\n}\n"                                                                               // 8, 9
      ".entry b()\n{\n  ret;\n}\n"                                                                // 10 to 13
      ".file\t1 \"norm/rms_norm/kernel.cuh\"\n  .file 2 \"device/reduce.cuh\", 1690000000, 10\n"  // 14, 15
  );
  CHECK(map.at(1).line == 0);
  CHECK(map.at(3).line == 0);
  CHECK(map.at(5).file == "norm/rms_norm/kernel.cuh");
  CHECK(map.at(5).line == 45);
  CHECK(map.at(6).line == 45);
  CHECK(map.at(8).file == "device/reduce.cuh");
  CHECK(map.at(8).line == 7);
  CHECK(map.at(12).line == 0);
}

TEST_CASE("line info that is missing or broken says nothing") {
  CHECK(SourceMap("").at(1).line == 0);
  CHECK(SourceMap(".loc 1 5 2\nret;").at(2).line == 0);
  CHECK(SourceMap(".loc x y\nret;\n.file 1 \"a").at(2).line == 0);
  CHECK(SourceMap(".loc\n.file\n.loc 99999999999999 1 1\n.file 1 \"a\"").at(3).line == 0);
}
