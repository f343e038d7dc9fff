#include <catch2/catch.hpp>
#include <string>

#include <kerncast/ops/norm/rms_norm.hpp>
#include "tests/c_api/c_host.hpp"

using namespace kerncast::test;
using kerncast::DType;
using kerncast::TensorView;

TEST_CASE("statuses have the numbers and names of the error codes") {
  for (int code = 1; code <= 10; ++code) {
    CHECK(kerncast_status_name(code) == error_name(static_cast<kerncast::ErrorCode>(code)));
    kerncast_error* error = kerncast_error_create(code, "text");
    CHECK(kerncast_error_status(error) == code);
    CHECK(kerncast_error_message(error) == std::string("text"));
    CHECK(kerncast_error_driver_result(error) == 0);
    kerncast_error_free(error);
  }
  CHECK(kerncast_status_name(KERNCAST_OK) == std::string("ok"));
  CHECK(kerncast_status_name(11) == std::string("unknown"));
  CHECK(kerncast_status_name(-1) == std::string("unknown"));
  CHECK(kerncast_error_create(KERNCAST_OK, "text") == nullptr);
  CHECK(kerncast_version() == std::string(kerncast::version()));
  CHECK(kerncast_c_abi() == KERNCAST_C_ABI);
}

TEST_CASE("NULL in place of a handle is an error that names function and argument, and no crash") {
  kerncast_report_free(nullptr);
  kerncast_prepared_free(nullptr);
  kerncast_arguments_free(nullptr);
  kerncast_runtime_free(nullptr);
  kerncast_options_free(nullptr);
  kerncast_error_free(nullptr);
  kerncast_text_free(nullptr);
  CHECK(kerncast_op_name(nullptr) == std::string());
  CHECK(kerncast_report_text(nullptr, "key") == nullptr);
  CHECK(kerncast_report_number(nullptr, "registers") == -1);
  CHECK(kerncast_prepared_launch(nullptr, nullptr, nullptr) == KERNCAST_INVALID_ARGUMENT);
  const auto refused = [](const Outcome& out, const std::string& message) {
    CHECK(out.status == KERNCAST_INVALID_ARGUMENT);
    CHECK(out.message == message + " is NULL; pass a valid pointer");
  };
  const Arguments arguments("norm.rms_norm");
  kerncast_prepared* prepared = nullptr;
  refused(outcome([&](auto** e) { return kerncast_run(nullptr, arguments.handle, nullptr, e); }),
          "kerncast_run: runtime");
  refused(outcome([&](auto** e) { return kerncast_run(nullptr, nullptr, nullptr, e); }),
          "kerncast_run: arguments");
  refused(outcome([&](auto** e) { return kerncast_prepared_launch(nullptr, nullptr, e); }),
          "kerncast_prepared_launch: prepared");
  refused(
      outcome([&](auto** e) { return kerncast_prepare(nullptr, arguments.handle, nullptr, &prepared, e); }),
      "kerncast_prepare: runtime");
  refused(outcome([&](auto** e) { return kerncast_arguments_set_tensor(arguments.handle, "x", nullptr, e); }),
          "kerncast_arguments_set_tensor: tensor");
  refused(outcome([&](auto** e) { return kerncast_op_find(nullptr, nullptr, e); }), "kerncast_op_find: op");
  refused(outcome([&](auto** e) { return kerncast_runtime_create(nullptr, nullptr, e); }),
          "kerncast_runtime_create: runtime");
  refused(outcome([&](auto** e) { return kerncast_op_register(nullptr, nullptr, e); }),
          "kerncast_op_register: definition");
  CHECK(prepared == nullptr);
}

TEST_CASE("tensors that no op could take are refused when they are set") {
  const Arguments arguments("norm.rms_norm");
  Tensor given(matrix(nullptr));
  const auto set = [&] {
    return outcome(
        [&](auto** e) { return kerncast_arguments_set_tensor(arguments.handle, "x", &given.tensor, e); });
  };
  CHECK(set().status == KERNCAST_OK);
  std::string part;
  SECTION("memory of the host") {
    given.tensor.device = {1, 0};
    part = "device type is 1";
  }
  SECTION("a dtype without a kernel") {
    given.tensor.dtype.bits = 12;
    part = "12 bits";
  }
  SECTION("several lanes") {
    given.tensor.dtype.lanes = 4;
    part = "4 lanes";
  }
  SECTION("too many dimensions") {
    given.tensor.ndim = 7;
    part = "at most 6 dimensions, not 7";
  }
  SECTION("a negative extent") {
    given.extents[1] = -1;
    part = "dimension 1 has -1 elements";
  }
  SECTION("no shape") {
    given.tensor.shape = nullptr;
    part = "its shape is NULL";
  }
  const Outcome out = set();
  CHECK(out.status == KERNCAST_INVALID_ARGUMENT);
  CHECK_THAT(out.message, Catch::StartsWith("tensor 'x': ") && Catch::Contains(part));
}

TEST_CASE("options are checked by name and value") {
  kerncast_options* options = nullptr;
  require_ok([&](auto** e) { return kerncast_options_create(&options, e); });
  const auto set = [&](const char* name, const char* value) {
    return outcome([&](auto** e) { return kerncast_options_set(options, name, value, e); });
  };
  CHECK(set("cache_max_bytes", "1000").status == KERNCAST_OK);
  CHECK(set("cache_trust", "true").status == KERNCAST_OK);
  CHECK(set("cache_trust", "1").status == KERNCAST_INVALID_ARGUMENT);
  CHECK(set("programmatic_launch", "false").status == KERNCAST_OK);
  CHECK(set("cache_max_bytes", "-1").status == KERNCAST_INVALID_ARGUMENT);
  CHECK(set("workers_jobs", "many").status == KERNCAST_INVALID_ARGUMENT);
  CHECK(set("miss_policy", "never").status == KERNCAST_INVALID_ARGUMENT);
  const Outcome unknown = set("cache_directoy", "/tmp");
  CHECK(unknown.status == KERNCAST_NOT_FOUND);
  CHECK_THAT(unknown.message, Catch::Contains("did you mean 'cache_directory'?"));
  kerncast_options_free(options);
}

TEST_CASE("errors have the text of C++") {
  CHost host;
  const std::string nearest =
      cpp_message([] { (void)kerncast::OpRegistry::instance().require("norm.rms_nrom"); });
  const kerncast_op* op = nullptr;
  const Outcome unknown = outcome([&](auto** e) { return kerncast_op_find("norm.rms_nrom", &op, e); });
  CHECK(unknown.status == KERNCAST_NOT_FOUND);
  CHECK(unknown.message == nearest);

  kerncast::norm::RmsNorm call;
  call.x = matrix(host.memory(matrix_bytes, 1));
  call.y = TensorView::contiguous(host.memory(matrix_bytes, 2), DType::bf16, {rows, hidden / 2});
  Arguments arguments("norm.rms_norm");
  arguments.tensor("x", call.x).tensor("y", call.y);
  const Outcome wrong = outcome([&](auto** e) { return kerncast_run(host.c, arguments.handle, nullptr, e); });
  CHECK(wrong.status == KERNCAST_INVALID_ARGUMENT);
  CHECK(wrong.message == cpp_message([&] { launch(host.cpp, call, nullptr); }));
}

TEST_CASE("a driver that is missing is an error") {
  kerncast_options* options = nullptr;
  kerncast_runtime* runtime = nullptr;
  require_ok([&](auto** e) { return kerncast_options_create(&options, e); });
  require_ok([&](auto** e) { return kerncast_options_set(options, "driver", "/nonexistent/libcuda.so", e); });
  require_ok([&](auto** e) { return kerncast_runtime_create(options, &runtime, e); });
  const Outcome out = outcome([&](auto** e) { return kerncast_make_current(runtime, 0, e); });
  CHECK(out.status == KERNCAST_NOT_FOUND);
  CHECK_THAT(out.message, Catch::Contains("/nonexistent/libcuda.so"));
  kerncast_runtime_free(runtime);
  kerncast_options_free(options);
}
