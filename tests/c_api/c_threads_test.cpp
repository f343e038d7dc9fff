#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "tests/c_api/c_host.hpp"

using namespace kerncast::test;

TEST_CASE("eight threads launch at once, and handles outlive the handle of their runtime") {
  CHost host;
  void* x = host.memory(matrix_bytes, 1);
  std::vector<void*> outputs;
  for (int i = 0; i < 8; ++i) {
    outputs.push_back(host.memory(matrix_bytes, 2));
  }
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (void* output : outputs) {
    threads.emplace_back([&, output] {
      const Tensor in(matrix(x));
      const Tensor out(matrix(output));
      const kerncast_op* op = nullptr;
      kerncast_arguments* arguments = nullptr;
      kerncast_prepared* prepared = nullptr;
      failed += kerncast_make_current(host.c, 0, nullptr) + kerncast_op_find("norm.rms_norm", &op, nullptr) +
                kerncast_arguments_create(op, &arguments, nullptr) +
                kerncast_arguments_set_tensor(arguments, "x", &in.tensor, nullptr) +
                kerncast_arguments_set_tensor(arguments, "y", &out.tensor, nullptr) +
                kerncast_prepare(host.c, arguments, nullptr, &prepared, nullptr);
      kerncast_arguments_free(arguments);
      for (int i = 0; i < 20; ++i) {
        failed += kerncast_prepared_launch(prepared, nullptr, nullptr);
      }
      kerncast_prepared_free(prepared);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(failed == 0);
  for (const void* output : outputs) {
    CHECK(host.bytes(output, matrix_bytes) == host.bytes(outputs.front(), matrix_bytes));
  }
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", matrix(x)).tensor("y", matrix(outputs[0]));
  kerncast_prepared* prepared = nullptr;
  require_ok([&](auto** e) { return kerncast_prepare(host.c, arguments.handle, nullptr, &prepared, e); });
  kerncast_runtime_free(host.c);
  host.c = nullptr;
  require_ok([&](auto** e) { return kerncast_prepared_launch(prepared, nullptr, e); });
  CHECK(host.bytes(outputs[0], matrix_bytes) == host.bytes(outputs[1], matrix_bytes));
  kerncast_prepared_free(prepared);
}
