#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulator/cuda/cuda_source.hpp"
#include "tests/simulator/kernel_runner.hpp"

// Ordinary CUDA kernels as NVRTC compiles them for every architecture it knows.
namespace kerncast::simulator::testing {

namespace {

const std::vector<std::string> archs{"75", "80", "86", "89", "90a", "100a", "103a", "110a", "120a", "121a"};

/// Calls f(runner, arch) with tests/simulator/cuda/`file` loaded for each architecture.
template <class F>
void for_archs(const std::string& file, F f, bool debug = false) {
  std::string why;
  const auto compiler = CudaCompiler::find(why);
  if (compiler == nullptr) {
    WARN("skipped: " << why);
    return;
  }
  for (const Arch& arch : compiler->known(archs)) {
    CAPTURE(arch.name);
    Runner runner(compiler->ptx(file, arch, debug), arch.sm);
    f(runner, arch);
  }
}

std::vector<int> small_numbers(int count, int modulus) {
  std::vector<int> values;
  for (int i = 0; i < count; ++i) {
    values.push_back((i * 7 + 3) % modulus);
  }
  return values;
}

/// Runs kernel(d, a, n) on one block and returns d.
template <class T>
std::vector<T> run(Runner& runner, const char* kernel, const std::vector<T>& d, const std::vector<T>& a,
                   unsigned threads, int n, unsigned shared = 0) {
  T* target = runner.upload(d);
  const Fault fault = runner.run(kernel, {1, 1, 1}, {threads, 1, 1}, shared, target, runner.upload(a), n);
  INFO(kernel << ": " << fault.message);
  CHECK(fault.kind == FaultKind::none);
  return Runner::download(target, d.size());
}

int fibonacci(int n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

}  // namespace

TEST_CASE("Kernels with switches, recursion, indirect calls and local arrays") {
  for_archs("control.cu", [](Runner& runner, const Arch&) {
    const std::vector<int> a = small_numbers(96, 11);
    std::vector<int> d;
    for (int i = 0; i < 96; ++i) {
      d.push_back(i * 1001 - 40000);
    }
    std::vector<int> expected;
    for (std::size_t i = 0; i < d.size(); ++i) {
      const int x = d[i];
      const int results[] = {
          x * 3 + 1, x ^ 55, x - 9,
          x / 3,     x % 7,  x * 4,
          ~x,        x >> 1, static_cast<int>(static_cast<unsigned>(x) * static_cast<unsigned>(x))};
      expected.push_back(a[i] <= 8 ? results[a[i]] : -1);
    }
    CHECK(run(runner, "switches", d, a, 96, 96) == expected);

    const std::vector<int> depth = small_numbers(32, 12);
    std::vector<int> numbers;
    for (const int n : depth) {
      numbers.push_back(fibonacci(n));
    }
    CHECK(run(runner, "recursion", std::vector<int>(32), depth, 32, 32) == numbers);

    std::vector<int> called;
    std::vector<int> areas;
    for (const int x : depth) {
      called.push_back(x % 3 == 0 ? 2 * x : x % 3 == 1 ? x * x : -x);
      areas.push_back(x % 3 == 0 ? x : x % 3 == 1 ? x * x : 6 * x * x);
    }
    CHECK(run(runner, "pointers", std::vector<int>(32), depth, 32, 32) == called);
    CHECK(run(runner, "virtuals", std::vector<int>(32), depth, 32, 32) == areas);

    std::vector<int> mixed;
    const std::vector<int> indices = small_numbers(40, 64);
    for (int i = 0; i < 32; ++i) {
      unsigned stack[64];
      for (unsigned k = 0; k < 64; ++k) {
        stack[k] = k * static_cast<unsigned>(i);
      }
      for (int k = 0; k < 40; ++k) {
        stack[indices[static_cast<std::size_t>(k)] & 63] +=
            stack[(indices[static_cast<std::size_t>(k)] + k) & 63];
      }
      unsigned sum = 0;
      for (const unsigned value : stack) {
        sum = sum * 31 + value;
      }
      mixed.push_back(static_cast<int>(sum));
    }
    CHECK(run(runner, "locals", std::vector<int>(32), indices, 32, 40) == mixed);

    const int table[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    std::vector<int> looked_up;
    for (const int x : depth) {
      looked_up.push_back(table[x & 7] + "tables"[x % 6] + 5);
    }
    CHECK(run(runner, "constants", std::vector<int>(32), depth, 32, 32) == looked_up);
  });
}

TEST_CASE("Kernels compiled for a debugger pass the strict checks") {
  const auto check = [](Runner& runner, const Arch&) {
    runner.checks = true;
    const int n = 96;
    const std::vector<int> a = small_numbers(n, 11);
    std::vector<int> sums;
    for (const int steps : a) {
      sums.push_back(steps * (steps - 1) / 2);
    }
    std::vector<int> totals;
    for (std::size_t i = 0; i < a.size(); ++i) {
      int total = 0;
      for (std::size_t at = i; at < a.size(); at += a[at] % 3 == 0 ? 2 : 1) {
        total += a[at] % 3 == 0 ? 0 : sums[at];
      }
      totals.push_back(total);
    }
    std::rotate(totals.begin(), totals.begin() + 1, totals.end());
    CHECK(run(runner, "meet_after_loops", std::vector<int>(n), a, n, n) == totals);
  };
  for_archs("debug.cu", check, true);
  for_archs("debug.cu", check);
}

TEST_CASE("Kernels with cooperative groups") {
  for_archs("control.cu", [](Runner& runner, const Arch&) {
    const std::vector<int> a = small_numbers(128, 19);
    int total = 0;
    for (std::size_t i = 0; i < 100; ++i) {
      total += a[i];
    }
    std::vector<int> expected;
    for (int i = 0; i < 128; ++i) {
      expected.push_back(total + 32 + (i / 32 == 1 ? 1 : 0));
    }
    CHECK(run(runner, "groups", std::vector<int>(128), a, 128, 100, 64) == expected);

    // Lanes of a warp with even values take the first such lane's value and add their rank among them.
    std::vector<int> small;
    for (int i = 0; i < 64; ++i) {
      const int first = i / 32 * 32;
      int v = a[static_cast<std::size_t>(i)];
      if (v % 2 == 0) {
        int rank = 0;
        int leader = -1;
        for (int k = first; k < i; ++k) {
          if (a[static_cast<std::size_t>(k)] % 2 == 0) {
            leader = leader < 0 ? k : leader;
            ++rank;
          }
        }
        v = a[static_cast<std::size_t>(leader < 0 ? i : leader)] + rank;
      }
      small.push_back(v + (i ^ 3));
    }
    CHECK(run(runner, "groups_small", std::vector<int>(64), a, 64, 64) == small);
  });
}

TEST_CASE("Kernels that print and assert") {
  for_archs("control.cu", [](Runner& runner, const Arch&) {
    CHECK(run(runner, "prints", std::vector<int>(2), std::vector<int>{4, 5}, 2, 2) == std::vector<int>{1, 1});
    const Fault fault = runner.run("prints", {1, 1, 1}, {1, 1, 1}, 0, runner.zeros<int>(1),
                                   runner.upload(std::vector<int>{-1}), 1);
    CHECK(fault.kind == FaultKind::assertion);
    CHECK_THAT(fault.message, Catch::Matchers::Contains("a[i] >= 0"));
  });
}

TEST_CASE("Kernels with 64- and 128-bit arithmetic and bit intrinsics") {
  for_archs("control.cu", [](Runner& runner, const Arch&) {
    using U64 = unsigned long long;
    __extension__ using U128 = unsigned __int128;
    const std::vector<U64> a{1,
                             0xffffffffffffffffULL,
                             0x8000000000000000ULL,
                             12345678901234567ULL,
                             999,
                             0x123456789abcdef0ULL,
                             7,
                             1ULL << 40};
    std::vector<U64> expected;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const U128 product = static_cast<U128>(a[i]) * a[(i + 1) % a.size()] + a[i];
      const U128 quotient = product / (a[i] % 1000 + 1);
      U64 reversed = 0;
      for (unsigned k = 0; k < 64; ++k) {
        reversed |= (a[i] >> k & 1U) << (63 - k);
      }
      expected.push_back(static_cast<U64>(product >> 64) ^
                         static_cast<U64>(static_cast<U128>(a[i]) * a[i] >> 64));
      expected.push_back(static_cast<U64>(quotient) + reversed + static_cast<U64>(std::popcount(a[i])) +
                         static_cast<U64>(std::countl_zero(a[i])) +
                         static_cast<U64>(std::countr_zero(a[i]) + 1));
      expected.push_back(static_cast<U64>(quotient >> 64) + a[i] / 7 + a[i] % 1000003);
    }
    U64* d = runner.zeros<U64>(expected.size());
    const Fault fault =
        runner.run("wide", {1, 1, 1}, {32, 1, 1}, 0, d, runner.upload(a), static_cast<int>(a.size()));
    CHECK(fault.message == "");
    CHECK(Runner::download(d, expected.size()) == expected);
  });
}

namespace {

/// f on each part of `bits` bits of x and y.
template <class F>
unsigned each_part(unsigned bits, unsigned x, unsigned y, F f) {
  unsigned result = 0;
  const unsigned mask = (1U << bits) - 1;
  for (unsigned shift = 0; shift < 32; shift += bits) {
    result |=
        (static_cast<unsigned>(f(static_cast<int>(x >> shift & mask), static_cast<int>(y >> shift & mask))) &
         mask)
        << shift;
  }
  return result;
}

unsigned simd_reference(unsigned x, unsigned y) {
  const auto s8 = [](int v) { return static_cast<int>(static_cast<std::int8_t>(v)); };
  const auto s16 = [](int v) { return static_cast<int>(static_cast<std::int16_t>(v)); };
  const auto sx = static_cast<std::int32_t>(x);
  const auto sy = static_cast<std::int32_t>(y);
  const auto wide = [](std::int32_t v) { return static_cast<std::int64_t>(v); };
  unsigned r = each_part(8, x, y, [](int p, int q) { return p + q; });
  r = r * 31 + each_part(8, x, y, [](int p, int q) { return p - q; });
  r = r * 31 + each_part(8, x, y, [](int p, int q) { return std::abs(p - q); });
  r = r * 31 + each_part(8, x, y, [&](int p, int q) { return std::max(s8(p), s8(q)); });
  r = r * 31 + each_part(16, x, y, [](int p, int q) { return std::min(p, q); });
  r = r * 31 + each_part(8, x, y, [](int p, int q) { return (p + q + 1) / 2; });
  r = r * 31 + each_part(8, x, y, [&](int p, int q) { return s8(p) > s8(q) ? 255 : 0; });
  unsigned sum = 0;
  each_part(8, x, y, [&](int p, int q) {
    sum += static_cast<unsigned>(std::abs(p - q));
    return 0;
  });
  r = r * 31 + sum;
  r = r * 31 + each_part(16, x, y, [&](int p, int q) { return std::clamp(s16(p) + s16(q), -32768, 32767); });
  r = r * 31 + each_part(8, x, y, [](int p, int q) { return p >= q ? 1 : 0; });
  const auto byte = [&](unsigned i) { return (i < 4 ? x >> (8 * i) : y >> (8 * (i - 4))) & 255U; };
  r = r * 31 + (byte(5) | byte(1) << 8 | byte(6) << 16 | byte(2) << 24);
  // __funnelshift_l(x, y, 7) shifts y:x left and keeps the upper word; the clamped right shift by 40 leaves
  // y.
  r = r * 31 + ((y << 7 | x >> 25) + y);
  int dot = 5;
  for (unsigned k = 0; k < 4; ++k) {
    dot += s8(static_cast<int>(x >> (8 * k) & 255U)) * s8(static_cast<int>(y >> (8 * k) & 255U));
  }
  r = r * 31 + static_cast<unsigned>(dot) + static_cast<unsigned>(std::llabs(wide(sx) - wide(sy)) + 3);
  r = r * 31 + ((x > y ? x - y : y - x) + 9) +
      static_cast<unsigned>(static_cast<std::uint64_t>(x) * y >> 32) +
      static_cast<unsigned>(static_cast<std::uint64_t>(wide(sx) * wide(sy)) >> 32);
  const auto low24 = [&](std::int32_t v) {
    return static_cast<std::int64_t>(static_cast<std::int32_t>(static_cast<std::uint32_t>(v) << 8) >> 8);
  };
  r = r * 31 + static_cast<unsigned>(low24(sx) * low24(sy)) +
      static_cast<unsigned>(static_cast<std::uint64_t>(x & 0xffffffU) * (y & 0xffffffU)) +
      static_cast<unsigned>((wide(sx) + wide(sy) + 1) >> 1) +
      static_cast<unsigned>((static_cast<std::uint64_t>(x) + y) >> 1);
  return r;
}

}  // namespace

TEST_CASE("Kernels with video and bit intrinsics") {
  for_archs("control.cu", [](Runner& runner, const Arch&) {
    std::vector<unsigned> a{0,          0xffffffff, 0x80808080, 0x7f7f7f7f,
                            0x01ff00fe, 0x12345678, 0x80007fff, 0xfedcba98};
    for (unsigned i = 0; i < 24; ++i) {
      a.push_back(a.back() * 1664525U + 1013904223U);
    }
    std::vector<unsigned> expected;
    for (std::size_t i = 0; i < a.size(); ++i) {
      expected.push_back(simd_reference(a[i], a[(i + 1) % a.size()]));
    }
    CHECK(run(runner, "simd", std::vector<unsigned>(a.size()), a, 32, static_cast<int>(a.size())) ==
          expected);
  });
}

TEST_CASE("Kernels with atomics of all types") {
  for_archs("atomics.cu", [](Runner& runner, const Arch& arch) {
    std::vector<int> a;
    for (int i = 0; i < 100; ++i) {
      a.push_back((i * 37) % 101 - 50);
    }
    int* s = runner.upload(std::vector<int>{0, 0, 100, -100, -1, 0, 0, 0});
    unsigned* u = runner.upload(std::vector<unsigned>{~0U, 0, 0, 0, 0, 0});
    auto* l = runner.upload(std::vector<unsigned long long>{0, ~0ULL, 0, 0, 0, 0});
    Fault fault = runner.run("integers", {1, 1, 1}, {128, 1, 1}, 0, s, u, l, runner.upload(a), 100);
    CHECK(fault.message == "");
    int sum = 0;
    int all = -1;
    int any = 0;
    int odd = 0;
    unsigned least = ~0U;
    unsigned most = 0;
    unsigned long long shifted = 0;
    for (const int v : a) {
      sum += v;
      all &= v;
      any |= v;
      odd ^= v;
      least = std::min(least, static_cast<unsigned>(v));
      most = std::max(most, static_cast<unsigned>(v));
      shifted ^= static_cast<unsigned long long>(v) << 20;
    }
    const auto [low, high] = std::minmax_element(a.begin(), a.end());
    CHECK(Runner::download(s, 8) == std::vector<int>{sum, -sum, *low, *high, all, any, odd, 17});
    // 100 increments from 0 to 9 and round again; the same downwards.
    CHECK(Runner::download(u, 6) == std::vector<unsigned>{least, most, 0, 0, 100, 200});
    const unsigned long long wide_least = [&] {
      unsigned long long result = ~0ULL;
      for (const int v : a) {
        result = std::min(result, static_cast<unsigned long long>(static_cast<long long>(v)));
      }
      return result;
    }();
    CHECK(Runner::download(l, 6) ==
          std::vector<unsigned long long>{
              static_cast<unsigned long long>(static_cast<long long>(sum)), wide_least,
              static_cast<unsigned long long>(static_cast<long long>(*high)), shifted, 300, 100});

    float* f = runner.zeros<float>(8);
    double* d = runner.zeros<double>(1);
    auto* h = runner.zeros<std::uint16_t>(4);
    auto* b = runner.zeros<std::uint16_t>(4);
    fault = runner.run("floats", {1, 1, 1}, {128, 1, 1}, 0, f, d, h, b, 100);
    CHECK(fault.message == "");
    const bool vectors = arch.sm >= 90;
    CHECK(Runner::download(f, 8) == (vectors ? std::vector<float>{50, 0, 100, 200, 100, 200, 300, 400}
                                             : std::vector<float>{50, 0, 0, 0, 0, 0, 0, 0}));
    CHECK(Runner::download(d, 1)[0] == 25);
    // 100 and 200 in both formats.
    CHECK(Runner::download(h, 4) == std::vector<std::uint16_t>{0x5640, 0, 0x5640, 0x5a40});
    CHECK(Runner::download(b, 4) == std::vector<std::uint16_t>{0x42c8, 0, 0x42c8, 0x4348});

    std::vector<unsigned char> bytes;
    std::vector<unsigned> histogram(256);
    for (unsigned i = 0; i < 5000; ++i) {
      bytes.push_back(static_cast<unsigned char>(i * i % 251));
      ++histogram[bytes.back()];
    }
    auto* counted = runner.zeros<unsigned>(256);
    fault = runner.run("shared_counts", {1, 1, 1}, {256, 1, 1}, 0, counted, runner.upload(bytes), 5000);
    CHECK(fault.message == "");
    CHECK(Runner::download(counted, 256) == histogram);
  });
}

}  // namespace kerncast::simulator::testing
