#include "templates/host/overlap.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "tests/templates/definition_checks.hpp"
#include "tests/templates/samples.hpp"

using namespace kerncast;
using namespace kerncast::test;

namespace {

constexpr std::uintptr_t base = 1U << 20U;

TensorView view_at(std::uintptr_t address, DType type, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& strides) {
  TensorView view;
  view.data = reinterpret_cast<void*>(address);
  view.dtype = type;
  view.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  std::copy(strides.begin(), strides.end(), view.strides.begin());
  return view;
}

/// The addresses of all bytes of `view`.
std::set<std::uintptr_t> bytes_of(const TensorView& view) {
  std::set<std::uintptr_t> bytes;
  for (std::int64_t index = 0; index < view.numel(); ++index) {
    std::int64_t offset = 0;
    for (std::int64_t rest = index, i = view.rank; i-- > 0;) {
      offset += rest % view.dim(static_cast<int>(i)) * view.stride(static_cast<int>(i));
      rest /= view.dim(static_cast<int>(i));
    }
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(view.data) +
                                 static_cast<std::uintptr_t>(offset * size_of(view.dtype));
    for (std::int64_t byte = 0; byte < size_of(view.dtype); ++byte) {
      bytes.insert(first + static_cast<std::uintptr_t>(byte));
    }
  }
  return bytes;
}

bool meet(const TensorView& a, const TensorView& b) {
  const std::set<std::uintptr_t> first = bytes_of(a);
  for (const std::uintptr_t byte : bytes_of(b)) {
    if (first.contains(byte)) {
      return true;
    }
  }
  return false;
}

/// A view of up to three dimensions with any strides, also 0 and negative ones.
TensorView any_view(Samples& source) {
  const DType types[] = {DType::i8, DType::bf16, DType::f32};
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  const std::uint64_t rank = 1 + source.bits() % 3;
  for (std::uint64_t i = 0; i < rank; ++i) {
    shape.push_back(static_cast<std::int64_t>(source.bits() % 6));
    strides.push_back(static_cast<std::int64_t>(source.bits() % 24) - 3);
  }
  return view_at(base + source.bits() % 160, types[source.bits() % 3], shape, strides);
}

}  // namespace

TEST_CASE("share_bytes agrees with the sets of bytes") {
  Samples source(7);
  int meeting = 0;
  for (int i = 0; i < 20000; ++i) {
    const TensorView a = any_view(source);
    const TensorView b = any_view(source);
    const bool expected = meet(a, b);
    meeting += expected ? 1 : 0;
    if (host::share_bytes(a, b) != expected) {
      INFO("case " << i);
      REQUIRE(host::share_bytes(a, b) == expected);
    }
  }
  // Both answers occur often.
  CHECK(meeting > 2000);
  CHECK(meeting < 18000);
}

TEST_CASE("share_bytes tells columns of one matrix apart, however many rows it has") {
  constexpr std::int64_t rows = std::int64_t{1} << 33;
  const TensorView left = view_at(base, DType::bf16, {rows, 128}, {384, 1});
  CHECK_FALSE(host::share_bytes(left, view_at(base + 256, DType::bf16, {rows, 128}, {384, 1})));
  CHECK_FALSE(host::share_bytes(left, view_at(base + 256, DType::f32, {rows, 128}, {192, 1})));
  CHECK(host::share_bytes(left, view_at(base + 254, DType::bf16, {rows, 128}, {384, 1})));
  CHECK(host::share_bytes(left, view_at(base + 256, DType::bf16, {rows, 257}, {384, 1})));
  CHECK(host::share_bytes(left, view_at(base + 768, DType::bf16, {rows, 1}, {384, 1})));
}

TEST_CASE("require_apart allows an output to be the tensor that it may be, and nothing less") {
  const TensorView x = view_at(base, DType::bf16, {4, 64}, {64, 1});
  const auto message = [&](const TensorView& y, const char* may_be) {
    return message_of([&] { host::require_apart("norm.test", {{"y", y, may_be}}, {{"x", x}}); });
  };
  CHECK_NOTHROW(host::require_apart("norm.test", {{"y", x, "x"}}, {{"x", x}}));
  CHECK_NOTHROW(host::require_apart("norm.test", {{"y", x, "z", "x"}}, {{"x", x}}));
  CHECK_THAT(message(x, ""), Catch::Contains("norm.test: tensors 'y' and 'x' share memory"));
  for (const TensorView& y :
       {view_at(base + 2, DType::bf16, {4, 64}, {64, 1}), view_at(base, DType::f32, {4, 64}, {64, 1}),
        view_at(base, DType::bf16, {4, 64}, {65, 1}), view_at(base, DType::bf16, {3, 64}, {64, 1})}) {
    CHECK_THAT(message(y, "x"), Catch::Contains("let it be 'x' itself"));
  }
  const TensorView absent;
  CHECK_NOTHROW(host::require_apart("norm.test", {{"y", absent}}, {{"x", x}}));
  const TensorView none = view_at(base, DType::bf16, {0, 64}, {64, 1});
  CHECK_NOTHROW(host::require_apart("norm.test", {{"y", none}}, {{"x", x}}));
}

TEST_CASE("strides that reach past any memory are refused by name, and no sum over them overflows") {
  constexpr std::int64_t far = INT64_MAX;
  constexpr std::int64_t limit = host::widest_reach;
  std::array<float, 4> memory{};
  const auto view = [&](std::int64_t rows, std::int64_t stride) {
    TensorView made = TensorView::contiguous(memory.data(), DType::f32, {1, 1});
    made.shape[0] = rows;
    made.strides[0] = stride;
    return made;
  };
  const TensorView other = TensorView::contiguous(memory.data() + 2, DType::f32, {2});
  for (const auto& [rows, stride] : {std::pair{std::int64_t{3}, far},
                                     {far, std::int64_t{1}},
                                     {far, far},
                                     {std::int64_t{3}, -far},
                                     {std::int64_t{2}, limit + 1},
                                     {std::int64_t{2}, -limit - 1}}) {
    CAPTURE(rows, stride);
    const TensorView wide = view(rows, stride);
    CHECK(host::byte_range(wide).is_everything());
    CHECK(host::share_bytes(wide, other));
    CHECK(host::share_bytes(other, wide));
    CHECK_THROWS_WITH(host::require_apart("test.op", {{"y", other}}, {{"x", wide}}),
                      Catch::Contains("test.op") && Catch::Contains("'x' reach past 2^55 elements"));
  }
  TensorView in_reach = view(2, limit);
  CHECK_FALSE(host::share_bytes(in_reach, other));
  CHECK_NOTHROW(host::require_apart("test.op", {{"y", other}}, {{"x", in_reach}}));
  for (int i = 0; i < TensorView::max_rank; ++i) {
    in_reach.shape[static_cast<std::size_t>(i)] = 2;
    in_reach.strides[static_cast<std::size_t>(i)] = limit;
  }
  in_reach.rank = TensorView::max_rank;
  CHECK(host::byte_range(in_reach).begin == reinterpret_cast<std::uintptr_t>(memory.data()));
  CHECK_FALSE(host::share_bytes(in_reach, other));
  CHECK_FALSE(host::share_bytes(view(0, far), other));
  const TensorView one = view(1, far);
  CHECK(host::share_bytes(one, one));
}
