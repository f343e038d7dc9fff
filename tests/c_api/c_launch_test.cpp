#include <atomic>
#include <catch2/catch.hpp>
#include <string>

#include <kerncast/ops/moe/topk_softmax.hpp>
#include <kerncast/ops/norm/rms_norm.hpp>
#include <kerncast/ops/quant/per_token_group.hpp>
#include "tests/c_api/c_host.hpp"

using namespace kerncast::test;
using kerncast::DType;
using kerncast::TensorView;

TEST_CASE("launches from C write the bits of typed calls") {
  CHost host;
  void* x = host.memory(matrix_bytes, 1);
  SECTION("norm.rms_norm, by name and prepared") {
    void* expected = host.memory(matrix_bytes, 2);
    void* found = host.memory(matrix_bytes, 3);
    kerncast::norm::RmsNorm call;
    call.x = matrix(x);
    call.y = matrix(expected);
    launch(host.cpp, call, nullptr);
    Arguments arguments("norm.rms_norm");
    arguments.tensor("x", matrix(x)).tensor("y", matrix(found));
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
    CHECK(host.bytes(found, matrix_bytes) == host.bytes(expected, matrix_bytes));
  }
  SECTION("quant.per_token_group") {
    void* q[2] = {host.memory(rows * hidden, 4), host.memory(rows * hidden, 5)};
    void* s[2] = {host.memory(rows * 8, 6), host.memory(rows * 8, 7)};
    const auto q_view = [&](int i) { return TensorView::contiguous(q[i], DType::fp8_e4m3, {rows, hidden}); };
    const auto s_view = [&](int i) { return TensorView::contiguous(s[i], DType::f32, {rows, 2}); };
    kerncast::quant::PerTokenGroup call;
    call.x = matrix(x);
    call.q = q_view(0);
    call.s = s_view(0);
    launch(host.cpp, call, nullptr);
    Arguments arguments("quant.per_token_group");
    arguments.tensor("x", matrix(x)).tensor("q", q_view(1)).tensor("s", s_view(1));
    require_ok([&](auto** e) { return kerncast_arguments_set_param(arguments.handle, "group", "128", e); });
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
    CHECK(host.bytes(q[0], rows * hidden) == host.bytes(q[1], rows * hidden));
    CHECK(host.bytes(s[0], rows * 8) == host.bytes(s[1], rows * 8));
  }
  SECTION("moe.topk_softmax") {
    void* w[2] = {host.memory(rows * 16, 4), host.memory(rows * 16, 5)};
    void* ids[2] = {host.memory(rows * 16, 6), host.memory(rows * 16, 7)};
    const auto view = [](void* data, DType type) { return TensorView::contiguous(data, type, {rows, 4}); };
    kerncast::moe::TopkSoftmax call;
    call.logits = matrix(x);
    call.weights = view(w[0], DType::f32);
    call.ids = view(ids[0], DType::i32);
    launch(host.cpp, call, nullptr);
    Arguments arguments("moe.topk_softmax");
    arguments.tensor("logits", matrix(x))
        .tensor("weights", view(w[1], DType::f32))
        .tensor("ids", view(ids[1], DType::i32));
    require_ok([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
    CHECK(host.bytes(w[0], rows * 16) == host.bytes(w[1], rows * 16));
    CHECK(host.bytes(ids[0], rows * 16) == host.bytes(ids[1], rows * 16));
  }
}

TEST_CASE("a prepared launch is rebound to other memory and rows, and keeps its kernel") {
  CHost host;
  void* x = host.memory(matrix_bytes * 2, 1);
  void* first = host.memory(matrix_bytes * 2, 2);
  void* second = host.memory(matrix_bytes * 2, 2);
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(x)).tensor("y", matrix(first));
  kerncast_prepared* prepared = nullptr;
  require_ok([&](auto** e) { return kerncast_prepare(host.c, arguments.handle, nullptr, &prepared, e); });
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  const auto rebind = [&] {
    return outcome([&](auto** e) { return kerncast_prepared_rebind(prepared, arguments.handle, e); });
  };
  arguments.tensor("y", matrix(second));
  CHECK(rebind().status == KERNCAST_OK);
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  CHECK(host.bytes(second, matrix_bytes * 2) == host.bytes(first, matrix_bytes * 2));

  // Three and four rows share a bucket; five do not.
  arguments.tensor("x", matrix(x, 4)).tensor("y", matrix(second, 4));
  CHECK(rebind().status == KERNCAST_OK);
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  const auto four = host.bytes(second, matrix_bytes * 2);
  CHECK(four != host.bytes(first, matrix_bytes * 2));
  arguments.tensor("x", matrix(x, 5)).tensor("y", matrix(second, 5));
  const Outcome other = rebind();
  CHECK(other.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(other.message,
             Catch::Contains("norm.rms_norm") && Catch::Contains("5 rows needs another kernel"));
  arguments.tensor("x", matrix(x, 0)).tensor("y", matrix(first, 0));
  CHECK(rebind().status == KERNCAST_OK);
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  CHECK(host.bytes(second, matrix_bytes * 2) == four);
  kerncast_prepared_free(prepared);

  // No rows have no kernel, so there is none to rebind.
  require_ok([&](auto** e) { return kerncast_prepare(host.c, arguments.handle, nullptr, &prepared, e); });
  CHECK(rebind().status == KERNCAST_OK);
  arguments.tensor("x", matrix(x)).tensor("y", matrix(first));
  CHECK_THAT(rebind().message, Catch::Contains("prepared for no rows"));
  kerncast_prepared_free(prepared);
  kerncast::norm::RmsNorm call;
  call.x = matrix(x);
  call.y = matrix(first);
  kerncast::PreparedLaunch never;
  CHECK_THROWS_WITH(never.rebind(kerncast::definition_of<kerncast::norm::RmsNorm>(), bind(call)),
                    Catch::Contains("never prepared"));
}

TEST_CASE("managed tensors go back to their owner once") {
  static std::atomic<int> returned{0};
  returned = 0;
  const Tensor given(matrix(nullptr));
  kerncast_dl_managed_tensor managed{given.tensor, nullptr, [](kerncast_dl_managed_tensor*) { ++returned; }};
  kerncast_dl_managed_tensor_versioned versioned{
      {1, 0}, nullptr, [](kerncast_dl_managed_tensor_versioned*) { ++returned; }, 0, given.tensor};
  {
    const Arguments arguments("norm.rms_norm");
    require_ok([&](auto** e) { return kerncast_arguments_set_managed(arguments.handle, "x", &managed, e); });
    CHECK(returned == 0);
    require_ok([&](auto** e) {
      return kerncast_arguments_set_managed_versioned(arguments.handle, "x", &versioned, e);
    });
    CHECK(returned == 1);
    versioned.version.major = 2;
    const Outcome out = outcome([&](auto** e) {
      return kerncast_arguments_set_managed_versioned(arguments.handle, "y", &versioned, e);
    });
    CHECK(out.status == KERNCAST_UNSUPPORTED);
    managed.dl_tensor.device.device_type = {};
    CHECK(kerncast_arguments_set_managed(arguments.handle, "y", &managed, nullptr) ==
          KERNCAST_INVALID_ARGUMENT);
    CHECK(returned == 1);
  }
  CHECK(returned == 2);
}
