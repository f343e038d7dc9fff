#include <unistd.h>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/simulator/kernel_runner.hpp"

// Compares the output of kernels with the host's printf.
namespace kerncast::simulator::testing {

namespace {

/// Returns what `f` writes to the standard output.
template <class F>
std::string output_of(F f) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fflush(stdout);
  const int before = dup(STDOUT_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  f();
  std::fflush(stdout);
  dup2(before, STDOUT_FILENO);
  close(before);
  std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
  std::fseek(file, 0, SEEK_SET);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  return text;
}

std::string bytes(const std::string& text) {
  std::string list;
  for (const char c : text) {
    list += std::to_string(static_cast<unsigned char>(c)) + ", ";
  }
  return list + "0";
}

/// Returns the output of one thread that prints `format` with `values`. Each value takes 8 bytes of the
/// argument buffer, or 4 if `narrow`. A value of text_placeholder stands for the address of `text`.
constexpr std::uint64_t text_placeholder = 0xabcdef0123456789;

std::string printed(const std::string& format, const std::vector<std::uint64_t>& values, bool narrow = false,
                    const std::string& text = "") {
  const std::size_t size = narrow ? 4 : 8;
  std::string stores;
  for (std::size_t i = 0; i < values.size(); ++i) {
    stores += values[i] == text_placeholder ? "mov.u64 v, text; cvta.global.u64 v, v;"
                                            : "mov.u64 v, " + std::to_string(values[i]) + ";";
    stores += (narrow ? "cvt.u32.u64 w, v; st.local.u32 [a+" : "st.local.u64 [a+") +
              std::to_string(i * size) + (narrow ? "], w;\n" : "], v;\n");
  }
  Runner runner(kernel_text(
      {},
      ".local .align 8 .b8 a[64]; .reg .u64 v, f; .reg .u32 w;\n" + stores +
          "mov.u64 f, format; cvta.global.u64 f, f; mov.u64 v, a; cvta.local.u64 v, v;\n"
          "{ .param .b64 x; .param .b64 y; .param .b32 z; st.param.b64 [x], f; st.param.b64 [y], v;\n"
          "call.uni (z), vprintf, (x, y); } ret;",
      ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 v);\n.global .b8 format[] = {" +
          bytes(format) + "};\n.global .b8 text[] = {" + bytes(text) + "};"));
  return output_of([&] { CHECK(runner.run("k", {1, 1, 1}, {1, 1, 1}, 0).message.empty()); });
}

}  // namespace

TEST_CASE("Kernels print integers of every length") {
  CHECK(printed("%d %u %x|", {0xffffffffULL, 0xffffffffULL, 0xffffffffULL}, true) ==
        "-1 4294967295 ffffffff|");
  CHECK(printed("%hd %hhd %hu %hhx|", {0x18001ULL, 0x1ffULL, 0x18001ULL, 0x1abULL}, true) ==
        "-32767 -1 32769 ab|");
  CHECK(printed("%lld %llu %lx %zu|", {~0ULL, ~0ULL, 1ULL << 40, 7}) ==
        "-1 18446744073709551615 10000000000 7|");
  CHECK(printed("%#o %+d % d %05d %-5d|", {8, 3, 4, 42, 42}, true) == "010 +3  4 00042 42   |");
  CHECK(printed("%c%c%%", {'o', 'k'}, true) == "ok%");
}

TEST_CASE("Kernels print floats, strings and widths given as arguments") {
  CHECK(printed("%.2f %8.3e %g %s|",
                {0x3FF8000000000000ULL, 0x40FE240000000000ULL, 0x3FB999999999999AULL, text_placeholder},
                false, "text") == "1.50 1.235e+05 0.1 text|");
  CHECK(printed("%*d|%-*d|%.*d|", {6, 42, 4, 7, 3, 5}, true) == "    42|7   |005|");
  CHECK(printed("%s", {text_placeholder}, false, std::string(2000, 'x')) == std::string(2000, 'x'));
  CHECK(printed("%s|", {16}) == "(unreadable)|");
}

TEST_CASE("Widths and precisions have an end") {
  CHECK(printed("%2147483647d", {1}, true) == std::string(4095, ' ') + "1");
  CHECK(printed("%.999999999f", {0x3FF0000000000000ULL}) == "1." + std::string(4096, '0'));
  CHECK(printed("%*d", {0x80000000ULL, 1}, true) == "1" + std::string(4095, ' '));
  CHECK(printed("%", {}) == "%");
  CHECK(printed("%y %5", {}) == "%y %5");
}

}  // namespace kerncast::simulator::testing
