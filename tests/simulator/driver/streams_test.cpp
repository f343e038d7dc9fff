#include <sys/wait.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/simulator/driver/fixture.hpp"

using namespace kerncast::tests;

using Words = std::vector<unsigned int>;

TEST_CASE_METHOD(PrimaryFixture, "a stream runs its work in order, whatever its kind", "[streams]") {
  const StreamHandle stream(api);
  const DeviceBuffer buffer(api, 4 * 300);
  Words seen(300);
  Gate gate;
  REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32Async(buffer.address(), 5, 300, stream.get()) == CUDA_SUCCESS);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(add(buffer.address(), 300, 2, stream.get()) == CUDA_SUCCESS);
  }
  CHECK(api.cuStreamQuery(stream.get()) == CUDA_ERROR_NOT_READY);
  gate.open();
  REQUIRE(api.cuMemcpyDtoHAsync(seen.data(), buffer.address(), 1200, stream.get()) == CUDA_SUCCESS);
  CHECK(seen == Words(300, 45));
  CHECK(api.cuStreamQuery(stream.get()) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(PrimaryFixture, "pageable memory is read before an asynchronous copy returns", "[streams]") {
  const StreamHandle stream(api);
  const DeviceBuffer buffer(api, 16);
  Words source = {1, 2, 3, 4};
  Gate gate;
  REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemcpyHtoDAsync(buffer.address(), source.data(), 16, stream.get()) == CUDA_SUCCESS);
  source = {9, 9, 9, 9};
  gate.open();
  stream.synchronize();
  CHECK(read_words(buffer) == Words{1, 2, 3, 4});
}

TEST_CASE_METHOD(PrimaryFixture, "the legacy default stream orders itself with blocking streams only",
                 "[streams]") {
  const StreamHandle blocking(api, CU_STREAM_DEFAULT);
  const StreamHandle later(api, CU_STREAM_DEFAULT);
  const StreamHandle free_running(api, CU_STREAM_NON_BLOCKING);
  const DeviceBuffer buffer(api, 16);
  Gate gate;
  REQUIRE(gate.close(api, blocking.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32Async(buffer.address(), 1, 4, nullptr) == CUDA_SUCCESS);
  REQUIRE(add(buffer.address(), 4, 10, later.get()) == CUDA_SUCCESS);
  // The other streams are held up behind the gate, this one is not.
  const DeviceBuffer aside(api, 16);
  REQUIRE(api.cuMemsetD32Async(aside.address(), 3, 4, free_running.get()) == CUDA_SUCCESS);
  free_running.synchronize();
  CHECK(api.cuStreamQuery(nullptr) == CUDA_ERROR_NOT_READY);
  CHECK(api.cuStreamQuery(stream_legacy) == CUDA_ERROR_NOT_READY);
  CHECK(api.cuStreamQuery(later.get()) == CUDA_ERROR_NOT_READY);
  gate.open();
  later.synchronize();
  CHECK(read_words(buffer) == Words(4, 11));
}

TEST_CASE_METHOD(PrimaryFixture, "waiting for the legacy default stream waits for blocking streams",
                 "[streams]") {
  const StreamHandle blocking(api, CU_STREAM_DEFAULT);
  Gate gate;
  REQUIRE(gate.close(api, blocking.get()) == CUDA_SUCCESS);
  std::atomic<bool> returned{false};
  std::thread waiter([&] {
    const CurrentContext current(api, context.handle());
    api.cuStreamSynchronize(nullptr);
    returned = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(!returned);
  gate.open();
  waiter.join();
  CHECK(api.cuStreamQuery(blocking.get()) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(PrimaryFixture, "each thread has a default stream of its own", "[streams]") {
  Gate gate;
  REQUIRE(gate.close(api, stream_per_thread) == CUDA_SUCCESS);
  std::thread other([&] {
    const CurrentContext current(api, context.handle());
    CHECK(api.cuStreamSynchronize(stream_per_thread) == CUDA_SUCCESS);
  });
  other.join();
  CHECK(api.cuStreamQuery(stream_per_thread) == CUDA_ERROR_NOT_READY);
  gate.open();
  CHECK(api.cuStreamSynchronize(stream_per_thread) == CUDA_SUCCESS);
}

TEST_CASE_METHOD(PrimaryFixture, "a stream waits for another's event", "[events]") {
  const StreamHandle first(api);
  const StreamHandle second(api);
  const DeviceBuffer buffer(api, 16);
  const Event event(api);
  Gate gate;
  CHECK(api.cuEventQuery(event.get()) == CUDA_SUCCESS);  // never recorded
  REQUIRE(gate.close(api, first.get()) == CUDA_SUCCESS);
  REQUIRE(api.cuMemsetD32Async(buffer.address(), 4, 4, first.get()) == CUDA_SUCCESS);
  event.record(first.get());
  REQUIRE(api.cuStreamWaitEvent(second.get(), event.get(), 0) == CUDA_SUCCESS);
  REQUIRE(add(buffer.address(), 4, 1, second.get()) == CUDA_SUCCESS);
  CHECK(api.cuEventQuery(event.get()) == CUDA_ERROR_NOT_READY);
  CHECK(api.cuStreamQuery(second.get()) == CUDA_ERROR_NOT_READY);
  gate.open();
  second.synchronize();
  CHECK(api.cuEventQuery(event.get()) == CUDA_SUCCESS);
  CHECK(read_words(buffer) == Words(4, 5));
}

TEST_CASE_METHOD(PrimaryFixture, "events measure the time between them", "[events]") {
  const StreamHandle stream(api);
  const Event start(api);
  const Event end(api);
  const Event untimed(api, CU_EVENT_DISABLE_TIMING);
  float milliseconds = 0;
  CHECK(api.cuEventElapsedTime(&milliseconds, start.get(), end.get()) == CUDA_ERROR_INVALID_HANDLE);
  Gate gate;
  const auto before = std::chrono::steady_clock::now();
  start.record(stream.get());
  REQUIRE(api.cuLaunchHostFunc(
              stream.get(), [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(20)); },
              nullptr) == CUDA_SUCCESS);
  REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
  end.record(stream.get());
  CHECK(api.cuEventElapsedTime(&milliseconds, start.get(), end.get()) == CUDA_ERROR_NOT_READY);
  gate.open();
  end.synchronize();
  const std::chrono::duration<float, std::milli> around = std::chrono::steady_clock::now() - before;
  CHECK(end.milliseconds_since(start) >= 20.0F);
  CHECK(end.milliseconds_since(start) <= around.count() + 0.01F);
  untimed.record(stream.get());
  CHECK(api.cuEventElapsedTime(&milliseconds, start.get(), untimed.get()) == CUDA_ERROR_INVALID_HANDLE);
}

TEST_CASE_METHOD(PrimaryFixture, "a destroyed stream's work still ends", "[streams]") {
  const DeviceBuffer buffer(api, 16);
  Gate gate;
  {
    const StreamHandle stream(api);
    REQUIRE(gate.close(api, stream.get()) == CUDA_SUCCESS);
    REQUIRE(api.cuMemsetD32Async(buffer.address(), 8, 4, stream.get()) == CUDA_SUCCESS);
  }
  gate.open();
  context.synchronize();
  CHECK(read_words(buffer) == Words(4, 8));
}

TEST_CASE_METHOD(PrimaryFixture, "threads use streams of their own at once", "[streams]") {
  const CUfunction ready = function("add");
  REQUIRE(ready != nullptr);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (unsigned int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const CurrentContext current(api, context.handle());
      const StreamHandle stream(api, t % 2 == 0 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT);
      const DeviceBuffer buffer(api, 400);
      Words seen(100);
      api.cuMemsetD32Async(buffer.address(), t, 100, stream.get());
      CUdeviceptr out = buffer.address();
      unsigned int n = 100;
      unsigned int value = 1;
      void* parameters[] = {&out, &n, &value};
      for (int i = 0; i < 25; ++i) {
        api.cuLaunchKernel(ready, 1, 1, 1, 128, 1, 1, 0, stream.get(), parameters, nullptr);
      }
      api.cuMemcpyDtoHAsync(seen.data(), buffer.address(), 400, stream.get());
      right += seen == Words(100, t + 25) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(right == 4);
}

TEST_CASE_METHOD(PrimaryFixture, "handles that do not exist are errors", "[streams]") {
  int here = 0;
  const auto stream = reinterpret_cast<CUstream>(&here);
  const auto event = reinterpret_cast<CUevent>(&here);
  CHECK(api.cuStreamSynchronize(stream) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuStreamQuery(stream) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuStreamDestroy(stream) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuStreamDestroy(nullptr) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuEventRecord(event, nullptr) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuEventSynchronize(event) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(api.cuCtxPushCurrent(reinterpret_cast<CUcontext>(&here)) == CUDA_ERROR_INVALID_CONTEXT);
  CHECK(api.cuStreamCreate(nullptr, 0) == CUDA_ERROR_INVALID_VALUE);
  CUstream gone = nullptr;
  REQUIRE(api.cuStreamCreate(&gone, 0) == CUDA_SUCCESS);
  REQUIRE(api.cuStreamDestroy(gone) == CUDA_SUCCESS);
  CHECK(api.cuStreamSynchronize(gone) == CUDA_ERROR_INVALID_HANDLE);
  std::thread([&] {
    CHECK(api.cuCtxSynchronize() == CUDA_ERROR_INVALID_CONTEXT);
    CHECK(api.cuStreamSynchronize(nullptr) == CUDA_ERROR_INVALID_CONTEXT);
  }).join();
}

TEST_CASE("a fault sticks to its context and names itself", "[faults]") {
  struct Case {
    const char* kernel;
    CUdeviceptr address;
    CUresult code;
  };
  const auto wanted =
      GENERATE(Case{"store", 64, CUDA_ERROR_ILLEGAL_ADDRESS}, Case{"trap", 0, CUDA_ERROR_LAUNCH_FAILED});
  INFO(wanted.kernel);
  {
    PrimaryFixture sim;
    const StreamHandle stream(sim.api);
    const DeviceBuffer after(sim.api, 16);
    after.fill(0);
    const CUfunction harmless = sim.function("bounded");
    REQUIRE((wanted.address != 0 ? sim.store(wanted.address, 1, stream.get())
                                 : sim.run(wanted.kernel, stream.get())) == CUDA_SUCCESS);
    // May be refused already: the fault may have happened by now.
    sim.api.cuMemsetD32Async(after.address(), 1, 4, stream.get());
    CHECK(sim.api.cuStreamSynchronize(stream.get()) == wanted.code);
    CHECK(std::string(sim.api.last_fault()).find(wanted.kernel) != std::string::npos);
    CUdeviceptr pointer = 0;
    CHECK(sim.api.cuMemAlloc(&pointer, 16) == wanted.code);
    CHECK(sim.api.cuCtxSynchronize() == wanted.code);
    CHECK(sim.api.cuLaunchKernel(harmless, 1, 1, 1, 1, 1, 1, 0, nullptr, nullptr, nullptr) == wanted.code);
    CHECK(sim.api.cuStreamQuery(nullptr) == wanted.code);
    try {
      sim.context.synchronize();
      FAIL("no error");
    } catch (const std::exception& error) {
      CHECK(std::string(error.what()).find(wanted.kernel) != std::string::npos);
      CHECK(std::string(error.what()).find(std::to_string(wanted.code)) != std::string::npos);
    }
  }
  // The last release destroyed the context; a new one is sound.
  PrimaryFixture fresh;
  const DeviceBuffer buffer(fresh.api, 16);
  buffer.fill(0);
  CHECK(fresh.add(buffer.address(), 4, 3, nullptr) == CUDA_SUCCESS);
  CHECK(read_words(buffer) == Words(4, 3));
}

TEST_CASE_METHOD(PrimaryFixture, "exits with a kernel that never ends", "[.][exit]") {
  const StreamHandle stream(api);
  const StreamHandle behind(api, CU_STREAM_DEFAULT);
  REQUIRE(run("forever", stream.get()) == CUDA_SUCCESS);
  REQUIRE(run("forever", nullptr) == CUDA_SUCCESS);
  REQUIRE(run("bounded", behind.get()) == CUDA_SUCCESS);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  std::exit(7);
}

TEST_CASE("a process exits with work in flight", "[exit]") {
  const int status =
      std::system("timeout 60 /proc/$PPID/exe 'exits with a kernel that never ends' > /dev/null");
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 7);
}
