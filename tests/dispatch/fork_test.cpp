// A process that forks after Kerncast was used: the child gets errors, and neither hangs nor crashes.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/cache/child_process.hpp"
#include "tests/dispatch/rows_of_ones.hpp"

using namespace kerncast;

namespace {

constexpr int as_expected = 0;
constexpr int no_error = 1;
constexpr int other_error = 2;

/// Says in an exit code if `call` fails because of the fork.
template <class Call>
int refused(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    const bool clear =
        error.code() == ErrorCode::unsupported &&
        std::string(error.what()).find("forked after Kerncast had been used") != std::string::npos;
    return clear ? as_expected : other_error;
  } catch (...) {
    return other_error;
  }
  return no_error;
}

/// A runtime that has launched, and a launch that it has prepared.
struct Used : RowsOfOnes {
  Used() : owned(std::make_unique<Runtime>(options(MissPolicy::compile))) {
    launch(*owned, arguments, nullptr);
    prepared = prepare(*owned, arguments);
  }
  [[nodiscard]] const OpDefinition& op() const { return definition_of<norm::RmsNorm>(); }
  [[nodiscard]] Specialisation spec(int hidden_size) const {
    return specialise(op(), {{"x_dtype", "bf16"}, {"hidden", std::to_string(hidden_size)}});
  }

  std::unique_ptr<Runtime> owned;
  PreparedLaunch prepared;
};

}  // namespace

TEST_CASE_METHOD(Used, "calls in a child that was forked after a launch fail with a clear error") {
  CHECK(run_child([&] { return refused([&] { launch(*owned, arguments, nullptr); }); }) == as_expected);
  CHECK(run_child([&] { return refused([&] { prepared.launch(nullptr); }); }) == as_expected);
  CHECK(run_child([&] { return refused([&] { static_cast<void>(prepare(*owned, arguments)); }); }) ==
        as_expected);
  CHECK(run_child([&] { return refused([&] { owned->ensure(op(), bind(arguments)); }); }) == as_expected);
  CHECK(run_child([&] { return refused([&] { owned->compile(op(), spec(512), "sm_90a", 1); }); }) ==
        as_expected);
  CHECK(run_child([&] {
          return refused([&] { static_cast<void>(owned->find(op(), spec(256), "sm_90a", 1)); });
        }) == as_expected);
  CHECK(run_child([&] {
          return refused([&] { static_cast<void>(owned->identify(op(), spec(256), "sm_90a", 1)); });
        }) == as_expected);
  CHECK(run_child([&] {
          return refused([&] { static_cast<void>(owned->inspect(op(), spec(256), "sm_90a", 1)); });
        }) == as_expected);
  CHECK(run_child([&] { return refused([&] { static_cast<void>(owned->arch(0)); }); }) == as_expected);
  CHECK(run_child([&] { return refused([&] { owned->make_current(0); }); }) == as_expected);
  CHECK(run_child([&] { return refused([&] { static_cast<void>(owned->driver_symbol("cuInit")); }); }) ==
        as_expected);

  // The parent goes on as before.
  launch(*owned, arguments, nullptr);
  CHECK(result() == std::vector<float>(rows * hidden, 1.0F));
}

TEST_CASE_METHOD(Used, "a child destroys the Runtime of its parent at once, whatever threads hold") {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int size = 256 * (i + 1); !stop; size = size % 4096 + 256) {
        try {
          static_cast<void>(owned->find(op(), spec(size), "sm_90a", 1));
        } catch (const Error&) {
          return;
        }
      }
    });
  }
  for (int turn = 0; turn < 10; ++turn) {
    CHECK(run_child([&] {
            const int code = refused([&] { owned->compile(op(), spec(768), "sm_90a", 1); });
            owned.reset();
            return code;
          }) == as_expected);
  }
  stop = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_CASE("a Runtime that was not used before the fork works in the child") {
  const TemporaryDirectory folder;
  RuntimeOptions options;
  options.cache_directory = folder.path();
  Runtime runtime(options);
  const OpDefinition& op = definition_of<norm::RmsNorm>();
  CHECK(run_child([&] {
          const Specialisation spec = specialise(op, {{"x_dtype", "bf16"}, {"hidden", "256"}});
          return runtime.identify(op, spec, "sm_90a", 1).key.size() == 32 ? 0 : 1;
        }) == 0);
}
