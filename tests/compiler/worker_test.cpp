#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cache/directory/store.hpp"
#include "kerncast/error.hpp"
#include "runtime/compiler/nvrtc_api.hpp"
#include "runtime/compiler/worker/message.hpp"
#include "runtime/compiler/worker/pool.hpp"
#include "tests/temporary_directory.hpp"

namespace {

using namespace kerncast::compiler;
using namespace kerncast::compiler::worker;
using kerncast::Error;
using kerncast::ErrorCode;

PoolOptions sources(int jobs = 1) {
  PoolOptions options;
  options.command = {KERNCAST_FAULTY_WORKER, "sources"};
  options.jobs = jobs;
  options.timeout_ms = 20'000;
  return options;
}

CompileRequest request(const std::string& source) {
  CompileRequest made;
  made.what = "op [" + source + "]";
  made.source = source;
  made.options = {"--gpu-architecture=sm_90a"};
  return made;
}

/// The Error that compiling `source` throws.
std::pair<ErrorCode, std::string> failure(Pool& pool, const std::string& source,
                                          const char* version = "13.0") {
  try {
    static_cast<void>(pool.compile(request(source), version));
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  FAIL("compiling " << source << " did not fail");
  return {};
}

TEST_CASE("messages read as they were written") {
  using namespace std::string_literals;
  CompileRequest asked = request("line\nwith \0 in it"s);
  asked.kernels = {"a<Config>", ""};
  asked.headers = {{"a.cuh", std::string(100'000, 'h')}, {"b.cuh", ""}};
  const auto got = decode_request(encode(asked));
  REQUIRE(got);
  CHECK(got->what == asked.what);
  CHECK(got->source == asked.source);
  CHECK(got->kernels == asked.kernels);
  CHECK(got->headers == asked.headers);
  CHECK(got->options == asked.options);

  CompileResult result;
  result.cubin = std::string(
      "\x7f"
      "ELF\0\xff",
      6);
  result.ptx = ".version 9.0";
  result.lowered_names = {"_Z1a", "_Z1b"};
  result.log = "ptxas info";
  result.resources = {32, 8, 4, 12, 1024, 400};
  result.milliseconds = 123.456;
  const auto read = decode_result(encode(result));
  REQUIRE(read);
  CHECK(read->cubin == result.cubin);
  CHECK(read->ptx == result.ptx);
  CHECK(read->lowered_names == result.lowered_names);
  CHECK(read->log == result.log);
  CHECK(read->resources.registers == 32);
  CHECK(read->resources.stack_bytes == 8);
  CHECK(read->resources.spill_store_bytes == 4);
  CHECK(read->resources.spill_load_bytes == 12);
  CHECK(read->resources.shared_bytes == 1024);
  CHECK(read->resources.constant_bytes == 400);
  CHECK(read->milliseconds == 123.456);

  const auto refused = decode_failure(encode(Failure{ErrorCode::unsupported, "no"}));
  REQUIRE(refused);
  CHECK(refused->code == ErrorCode::unsupported);
  CHECK(refused->message == "no");
  CHECK(decode_failure(encode(Failure{ErrorCode::cache_miss, ""}))->code == ErrorCode::cache_miss);
  for (const int unknown : {0, 255}) {
    CHECK(decode_failure(encode(Failure{static_cast<ErrorCode>(unknown), ""}))->code == ErrorCode::internal);
  }
}

TEST_CASE("a payload that is cut short or too long is refused") {
  const std::string whole = encode(request("source"));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CHECK_FALSE(decode_request(std::string_view(whole).substr(0, length)));
  }
  CHECK(decode_request(whole));
  CHECK_FALSE(decode_request(whole + "x"));
  const std::string greeting = encode(Greeting{});
  CHECK_FALSE(decode_greeting(std::string_view(greeting).substr(1)));
}

TEST_CASE("a worker serves one compile after another") {
  Pool pool(sources());
  const std::string first = pool.compile(request("a"), "13.0").cubin;
  CHECK(pool.compile(request("b"), "13.0").cubin == first);
  CHECK(pool.compile(request("c"), "13.0").ptx == "c");
  CHECK(pool.started() == 1);
  CHECK(failure(pool, "refuse") == std::pair(ErrorCode::unsupported, std::string("not this one")));
  CHECK(pool.compile(request("d"), "13.0").cubin == first);
}

TEST_CASE("a worker that dies fails its kernel alone, and the source is kept") {
  const TemporaryDirectory directory;
  PoolOptions options = sources();
  kerncast::cache::Store store(directory.file("cache"), nullptr);
  options.keep_failed = [&](const std::string& name, std::string_view source) {
    return store.keep_failed(name, source);
  };
  Pool pool(options);
  const std::string before = pool.compile(request("a"), "13.0").cubin;
  const auto [code, message] = failure(pool, "crash");
  CHECK(code == ErrorCode::compile_failed);
  CHECK_THAT(message, Catch::Contains("op [crash]") && Catch::Contains("died of SIGABRT") &&
                          Catch::Contains(directory.file("cache/failed")));
  const std::string path = message.substr(message.rfind(' ') + 1);
  std::stringstream kept;
  kept << std::ifstream(path).rdbuf();
  CHECK_THAT(kept.str(), Catch::Contains("--gpu-architecture=sm_90a") && Catch::EndsWith("\ncrash"));
  CHECK_THAT(failure(pool, "leave").second, Catch::Contains("exited with code 7"));
  CHECK_THAT(failure(pool, "babble").second, Catch::Contains("makes no sense"));
  const std::string after = pool.compile(request("a"), "13.0").cubin;
  CHECK(after != before);
  CHECK(pool.started() == 4);
}

TEST_CASE("a worker that hangs is given up after its time") {
  PoolOptions options = sources();
  options.timeout_ms = 300;
  Pool pool(options);
  CHECK_THAT(failure(pool, "hang").second, Catch::Contains("no answer in 0.3 s"));
  CHECK(pool.compile(request("a"), "13.0").ptx == "a");
  options.command.back() = "mute";
  Pool silent(options);
  const auto [code, message] = failure(silent, "a");
  CHECK(code == ErrorCode::unsupported);
  CHECK_THAT(message, Catch::Contains("no answer"));
}

// The thread sanitizer keeps four times what a worker holds.
#ifdef __SANITIZE_THREAD__
constexpr std::uint64_t share_mib = 2560;
#else
constexpr std::uint64_t share_mib = 512;
#endif

TEST_CASE("a worker that exceeds its share of the memory is replaced") {
  PoolOptions options = sources();
  options.memory_bytes = share_mib << 20;
  Pool pool(options);
  const std::string first = pool.compile(request("a"), "13.0").cubin;
  CHECK(pool.compile(request("grow"), "13.0").cubin == first);
  CHECK(pool.compile(request("grow"), "13.0").ptx == "grow");
  CHECK(pool.compile(request("a"), "13.0").cubin != first);
  CHECK(pool.started() == 2);
}

TEST_CASE("a compile that exceeds its worker's share fails, after a second try if the worker was not fresh") {
  PoolOptions options = sources();
  options.memory_bytes = share_mib << 20;
  Pool pool(options);
  CHECK_THAT(failure(pool, "swell 800").second,
             Catch::Contains("compiling op [swell 800]") &&
                 Catch::Contains(fmt::format("its share is {} MiB", share_mib)));
  CHECK(pool.started() == 1);
  const std::string second = pool.compile(request("grow"), "13.0").cubin;
  const CompileResult alone = pool.compile(request("swell 320"), "13.0");
  CHECK(alone.ptx == "swell 320");
  CHECK(alone.cubin != second);
  CHECK(pool.started() == 3);
  CHECK_THAT(failure(pool, "swell 800").second, Catch::Contains("share"));
  CHECK(pool.started() == 4);
}

TEST_CASE("memory for fewer workers than jobs means fewer workers") {
  PoolOptions options = sources(4);
  options.memory_bytes = std::uint64_t{300} << 20;
  Pool pool(options);
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back(
        [&] { done += pool.compile(request("swell 10"), "13.0").ptx == "swell 10" ? 1 : 0; });
  }
  std::size_t most = 0;
  while (done < 6) {
    most = std::max(most, pool.in_flight().size());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(most == 2);
  CHECK(pool.started() == 2);
}

TEST_CASE("a worker that is killed while idle costs no kernel") {
  Pool pool(sources());
  const std::string first = pool.compile(request("a"), "13.0").cubin;
  REQUIRE(kill(std::stoi(first), SIGKILL) == 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(pool.compile(request("a"), "13.0").cubin != first);
}

TEST_CASE("as many compiles run at once as there are jobs") {
  Pool pool(sources(2));
  std::set<std::string> workers;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const std::string worker = pool.compile(request(std::to_string(i)), "13.0").cubin;
      const std::lock_guard lock(mutex);
      workers.insert(worker);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(pool.started() <= 2);
  CHECK(workers.size() == static_cast<std::size_t>(pool.started()));
  CHECK(pool.in_flight().empty());
}

TEST_CASE("stopping ends compiles under way and refuses later ones") {
  Pool pool(sources());
  std::pair<ErrorCode, std::string> under_way;
  std::pair<ErrorCode, std::string> waiting;
  std::thread first([&] { under_way = failure(pool, "hang"); });
  while (pool.in_flight() != std::vector<std::string>{"op [hang]"}) {
    std::this_thread::yield();
  }
  std::thread second([&] { waiting = failure(pool, "a"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  pool.stop();
  first.join();
  second.join();
  CHECK(under_way.first == ErrorCode::compile_failed);
  CHECK_THAT(waiting.second, Catch::Contains("stopped"));
  CHECK_THAT(failure(pool, "a").second, Catch::Contains("stopped"));
}

TEST_CASE("a worker that cannot be run or has another NVRTC is an error that says so") {
  PoolOptions options = sources();
  options.command = {"/no/such/kerncast", "worker"};
  Pool missing(options);
  CHECK_THAT(failure(missing, "a").second,
             Catch::Contains("/no/such/kerncast") && Catch::Contains("No such file"));
  options.command = {KERNCAST_FAULTY_WORKER, "old"};
  Pool old(options);
  CHECK_THAT(failure(old, "a").second, Catch::Contains("not a compile worker of this version"));
  Pool other(sources());
  const auto [code, message] = failure(other, "a", "12.9");
  CHECK(code == ErrorCode::unsupported);
  CHECK_THAT(message, Catch::Contains("has NVRTC 13.0, but 12.9 is wanted"));
}

TEST_CASE("a worker outlives the thread that started it") {
  Pool pool(sources());
  std::string first;
  std::thread([&] { first = pool.compile(request("a"), "13.0").cubin; }).join();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(pool.compile(request("b"), "13.0").cubin == first);
}

/// True if the process runs. A zombie does not run.
bool runs(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string stat;
  return std::getline(in, stat) && stat.compare(stat.rfind(')') + 2, 1, "Z") != 0;
}

TEST_CASE("a worker leaves with the process that started it, whatever it compiles") {
  const NvrtcSearch search = load_nvrtc();
  if (search.nvrtc == nullptr) {
    WARN("no NVRTC here: " << search.remedy);
    return;
  }
  CompileRequest endless = request(
      "template <int Depth, long Which> struct Tree { static constexpr long value = "
      "Tree<Depth - 1, 2 * Which>::value + Tree<Depth - 1, 2 * Which + 1>::value; };\n"
      "template <long Which> struct Tree<0, Which> { static constexpr long value = 1; };\n"
      "static_assert(Tree<40, 1>::value != 0, \"\");\n");
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t parent = fork();
  if (parent == 0) {
    Process worker({KERNCAST_FAULTY_WORKER, "real"}, 20'000);
    const pid_t pid = worker.pid();
    if (write(ends[1], &pid, sizeof(pid)) == sizeof(pid)) {
      static_cast<void>(worker.compile(endless, {60'000, 0}));
    }
    _exit(1);
  }
  pid_t worker = 0;
  REQUIRE(read(ends[0], &worker, sizeof(worker)) == sizeof(worker));
  close(ends[0]);
  close(ends[1]);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  CHECK(runs(worker));
  REQUIRE(kill(parent, SIGKILL) == 0);
  REQUIRE(waitpid(parent, nullptr, 0) == parent);
  for (int i = 0; i < 500 && runs(worker); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  CHECK_FALSE(runs(worker));
}

/// Waits until the process `pid` has ended. False if it still runs after ten seconds.
bool ends(pid_t pid) {
  for (int i = 0; i < 500 && runs(pid); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return !runs(pid);
}

TEST_CASE("a worker leaves with its children, though a fork of the process that started it lives on") {
  if (load_nvrtc().nvrtc == nullptr) {
    WARN("no NVRTC here");
    return;
  }
  const TemporaryDirectory directory;
  const std::string note = directory.file("child");
  int ends_of_pipe[2];
  REQUIRE(pipe(ends_of_pipe) == 0);
  const pid_t parent = fork();
  if (parent == 0) {
    const Process worker({KERNCAST_FAULTY_WORKER, "family", note}, 20'000);
    const pid_t other = fork();
    if (other == 0) {
      while (true) {
        pause();
      }
    }
    const pid_t pids[] = {worker.pid(), other};
    if (write(ends_of_pipe[1], pids, sizeof(pids)) == sizeof(pids)) {
      pause();
    }
    _exit(1);
  }
  pid_t pids[2] = {};
  const ssize_t got = read(ends_of_pipe[0], pids, sizeof(pids));
  REQUIRE(got == static_cast<ssize_t>(sizeof(pids)));
  close(ends_of_pipe[0]);
  close(ends_of_pipe[1]);
  pid_t child = 0;
  std::ifstream(note) >> child;
  REQUIRE(child > 0);
  CHECK(runs(pids[0]));
  CHECK(runs(child));
  REQUIRE(kill(parent, SIGKILL) == 0);
  REQUIRE(waitpid(parent, nullptr, 0) == parent);
  CHECK(ends(pids[0]));
  CHECK(ends(child));
  CHECK(runs(pids[1]));
  kill(pids[1], SIGKILL);
}

TEST_CASE("the children of a worker end with it, also if it crashes") {
  pid_t child = 0;
  {
    Pool pool(sources());
    child = std::stoi(pool.compile(request("child"), "13.0").log);
    CHECK(runs(child));
  }
  CHECK(ends(child));
  Pool pool(sources());
  child = std::stoi(pool.compile(request("child"), "13.0").log);
  CHECK_THAT(failure(pool, "crash").second, Catch::Contains("died of SIGABRT"));
  CHECK(ends(child));
}

TEST_CASE("a worker gets no variable that it does not need") {
  const std::pair<const char*, const char*> secret[] = {
      {"KERNCAST_CACHE_REMOTE", "redis://:hunter2@host"},
      {"KERNCAST_CACHE_REMOTE_CREDENTIALS", "/run/hunter2"},
      {"AWS_ACCESS_KEY_ID", "hunter2"},
      {"AWS_SECRET_ACCESS_KEY", "hunter2"},
      {"AWS_SESSION_TOKEN", "hunter2"},
      {"HF_TOKEN", "hunter2"},
      {"https_proxy", "http://user:hunter2@proxy"},
      {"SOME_PASSWORD", "hunter2"},
  };
  for (const auto& [name, value] : secret) {
    setenv(name, value, 1);
  }
  setenv("KERNCAST_NVRTC", "/some/folder", 1);
  Pool pool(sources());
  const std::string variables = pool.compile(request("variables"), "13.0").log;
  unsetenv("KERNCAST_NVRTC");
  for (const auto& [name, value] : secret) {
    unsetenv(name);
    CHECK_THAT(variables, !Catch::Contains(name));
  }
  CHECK_THAT(variables, !Catch::Contains("hunter2"));
  CHECK_THAT(variables, Catch::Contains("KERNCAST_NVRTC=/some/folder\n") && Catch::Contains("PATH="));
}

TEST_CASE("a worker gets no open file but its socket and standard error") {
  const TemporaryDirectory directory;
  const int open_file = open(directory.file("secret").c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(open_file > STDERR_FILENO);
  Pool pool(sources());
  const std::string files = pool.compile(request("files"), "13.0").log;
  close(open_file);
  INFO(files);
  CHECK_THAT(files, !Catch::Contains("secret"));
  CHECK_THAT(files, Catch::Contains("0 socket:") && Catch::Contains("1 /dev/null\n"));
  CHECK(std::count(files.begin(), files.end(), '\n') <= 3);
}

TEST_CASE("a worker compiles as this process does") {
  const NvrtcSearch search = load_nvrtc();
  if (search.nvrtc == nullptr) {
    WARN("no NVRTC here: " << search.remedy);
    return;
  }
  CompileRequest asked;
  asked.what = "twice";
  asked.source =
      "#include \"f.cuh\"\ntemplate <class T> __global__ void twice(T* x) { *x = f(*x); }\n"
      "template __global__ void twice<int>(int*);\n";
  asked.kernels = {"twice<int>"};
  asked.headers = {{"f.cuh", "template <class T> __device__ T f(T x) { return x * 2; }\n"}};
  asked.options = {"--gpu-architecture=sm_90a", "--ptxas-options=-v"};
  const CompileResult here = kerncast::compiler::compile(*search.nvrtc, asked);
  PoolOptions options = sources();
  options.command.back() = "real";
  Pool pool(options);
  const CompileResult there = pool.compile(asked, search.nvrtc->version());
  CHECK(there.cubin == here.cubin);
  CHECK(there.ptx == here.ptx);
  CHECK(there.lowered_names == here.lowered_names);
  CHECK(there.resources.registers == here.resources.registers);
  asked.source = "nonsense";
  try {
    static_cast<void>(pool.compile(asked, search.nvrtc->version()));
    FAIL("nonsense compiled");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::compile_failed);
    CHECK_THAT(error.what(), Catch::Contains("nonsense"));
  }
  CHECK(pool.started() == 1);
}

}  // namespace
