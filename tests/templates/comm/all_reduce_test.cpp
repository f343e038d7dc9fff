#include <kerncast/ops/comm/all_reduce.hpp>

#include <atomic>
#include <chrono>
#include <random>

#include "tests/templates/comm/ranks.hpp"

using namespace kerncast;
using namespace kerncast::test;
using comm::Algorithm;
using comm::AllReduce;

namespace {

struct Shape {
  std::int64_t rows;
  std::int64_t hidden;
};

std::size_t count_of(const Shape& shape) {
  return static_cast<std::size_t>(shape.rows * shape.hidden);
}

/// A rank's tensors of a call.
struct Tensors {
  Tensors(DType type, const Shape& shape, int rank, int call)
      : bytes(count_of(shape) * static_cast<std::size_t>(size_of(type))),
        x(ranks_runtime(), bytes),
        y(ranks_runtime(), bytes) {
    x.upload(message_of(type, count_of(shape), rank, call).data(), bytes);
    y.upload(std::vector<std::byte>(bytes, std::byte{0xcd}).data(), bytes);
    arguments.x = x.tensor(type, {shape.rows, shape.hidden});
    arguments.y = y.tensor(type, {shape.rows, shape.hidden});
  }

  [[nodiscard]] std::vector<std::byte> result(bool in_place = false) const {
    std::vector<std::byte> read(bytes);
    (in_place ? x : y).download(read.data(), bytes);
    return read;
  }

  std::size_t bytes;
  DeviceBuffer x;
  DeviceBuffer y;
  AllReduce arguments;
};

void check_calls(int world, DType type, const Shape& shape, Algorithm algorithm) {
  INFO(world << " ranks, " << name_of(type) << ", " << shape.rows << " x " << shape.hidden << ", algorithm "
             << static_cast<int>(algorithm));
  Group group(world);
  require_no_errors(group.errors);
  constexpr int calls = 4;
  std::vector<std::vector<std::byte>> results(place_of(calls, world, 0));
  require_no_errors(on_ranks(world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    for (int call = 0; call < calls; ++call) {
      Tensors tensors(type, shape, rank, call);
      tensors.arguments.communicator = &group[rank];
      tensors.arguments.algorithm = algorithm;
      if (call % 2 == 1) {
        tensors.arguments.y = tensors.arguments.x;
      }
      launch(ranks_runtime(), tensors.arguments, stream.get());
      stream.synchronize();
      group[rank].check();
      results[place_of(call, world, rank)] = tensors.result(call % 2 == 1);
    }
  }));
  for (int call = 0; call < calls; ++call) {
    const std::vector<std::byte> expected = expected_sum(type, count_of(shape), world, call);
    for (int rank = 0; rank < world; ++rank) {
      INFO("rank " << rank << ", call " << call);
      CHECK((results[place_of(call, world, rank)] == expected));
    }
  }
}

/// Ranks whose calls are late by a random time, and of random shapes, dtypes and algorithms.
void check_random_calls(int world, int calls) {
  Group group(world);
  require_no_errors(group.errors);
  std::vector<int> wrong(static_cast<std::size_t>(world));
  require_no_errors(on_ranks(world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    std::mt19937 same(7);
    std::mt19937 own(static_cast<unsigned>(rank));
    std::vector<std::unique_ptr<Tensors>> kept;
    std::vector<std::vector<std::byte>> expected;
    for (int call = 0; call < calls; ++call) {
      const DType type = same() % 2 == 0 ? DType::bf16 : DType::f32;
      const Shape shape{1 + static_cast<std::int64_t>(same() % 9), 72};
      const auto algorithm = static_cast<Algorithm>(same() % 3);
      kept.push_back(std::make_unique<Tensors>(type, shape, rank, call));
      kept.back()->arguments.communicator = &group[rank];
      kept.back()->arguments.algorithm = algorithm;
      expected.push_back(expected_sum(type, count_of(shape), world, call));
      std::this_thread::sleep_for(std::chrono::microseconds(own() % 3000));
      launch(ranks_runtime(), kept.back()->arguments, stream.get());
      if (own() % 4 == 0) {
        stream.synchronize();
      }
    }
    stream.synchronize();
    group[rank].check();
    for (std::size_t i = 0; i < kept.size(); ++i) {
      wrong[static_cast<std::size_t>(rank)] += kept[i]->result() == expected[i] ? 0 : 1;
    }
  }));
  CHECK(wrong == std::vector<int>(static_cast<std::size_t>(world)));
}

template <class Function>
Function* driver_function(const char* name) {
  return reinterpret_cast<Function*>(ranks_runtime().driver_symbol(name));
}

/// Errors of the ranks, by rank, empty if there is none: each runs `work`, then checks its communicator.
std::vector<std::string> outcome_of(Group& group, int world, const std::function<void(int rank)>& work) {
  return on_ranks(world, [&](int rank) {
    work(rank);
    group[rank].check();
  });
}

void short_timeout(CommunicatorOptions& options) {
  options.timeout = std::chrono::milliseconds(400);
}

}  // namespace

TEST_CASE("all ranks get the sum in rank order, whatever the width, the dtype and the algorithm") {
  for (const Algorithm algorithm : {Algorithm::one_shot, Algorithm::two_shot}) {
    check_calls(2, DType::bf16, {3, 256}, algorithm);
    check_calls(4, DType::f16, {5, 33}, algorithm);
    check_calls(8, DType::bf16, {2, 264}, algorithm);
    check_calls(3, DType::f32, {1, 7}, algorithm);
    check_calls(8, DType::f32, {1, 1}, algorithm);
  }
}

TEST_CASE("calls of any order of shapes, dtypes and algorithms follow each other, by ranks out of step") {
  check_random_calls(2, 24);
  check_random_calls(4, 10);
  check_random_calls(8, 5);
}

TEST_CASE("strided and unaligned rows are summed, and what lies between them stays") {
  constexpr int world = 2;
  Group group(world);
  require_no_errors(group.errors);
  constexpr std::int64_t rows = 4;
  constexpr std::int64_t hidden = 40;
  constexpr std::int64_t stride = 43;
  std::vector<std::vector<std::uint16_t>> results(world);
  require_no_errors(on_ranks(world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    std::vector<std::uint16_t> host(static_cast<std::size_t>(rows * stride + 1), 0xcdcd);
    const std::vector<std::byte> message = message_of(DType::bf16, rows * hidden, rank, 0);
    for (std::int64_t row = 0; row < rows; ++row) {
      std::memcpy(&host[static_cast<std::size_t>(1 + row * stride)],
                  &message[static_cast<std::size_t>(2 * row * hidden)], 2 * hidden);
    }
    DeviceBuffer memory(ranks_runtime(), 2 * host.size());
    memory.upload(host.data(), 2 * host.size());
    AllReduce call;
    call.x = memory.tensor(DType::bf16, {rows, hidden});
    call.x.data = static_cast<std::uint16_t*>(memory.data()) + 1;
    call.x.strides[0] = stride;
    call.y = call.x;
    call.communicator = &group[rank];
    launch(ranks_runtime(), call, stream.get());
    stream.synchronize();
    group[rank].check();
    memory.download(host.data(), 2 * host.size());
    results[static_cast<std::size_t>(rank)] = host;
  }));
  const std::vector<std::byte> expected = expected_sum(DType::bf16, rows * hidden, world, 0);
  for (const std::vector<std::uint16_t>& result : results) {
    for (std::int64_t i = 0; i < rows * stride + 1; ++i) {
      const std::int64_t row = (i - 1) / stride;
      const std::int64_t column = (i - 1) % stride;
      std::uint16_t wanted = 0xcdcd;
      if (i > 0 && column < hidden) {
        std::memcpy(&wanted, &expected[static_cast<std::size_t>(2 * (row * hidden + column))], 2);
      }
      REQUIRE(result[static_cast<std::size_t>(i)] == wanted);
    }
  }
}

TEST_CASE("NaN and infinity reach all ranks, and no row but their own") {
  constexpr int world = 2;
  Group group(world);
  require_no_errors(group.errors);
  std::vector<std::vector<float>> results(world);
  require_no_errors(on_ranks(world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    Tensors tensors(DType::f32, {2, 4}, rank, 0);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const float infinity = std::numeric_limits<float>::infinity();
    const std::vector<float> values = rank == 0 ? std::vector<float>{nan, infinity, -0.0F, 1, 1, 2, 3, 4}
                                                : std::vector<float>{1, 1, -0.0F, -infinity, 1, 2, 3, 4};
    tensors.x.upload(values.data(), tensors.bytes);
    tensors.arguments.communicator = &group[rank];
    launch(ranks_runtime(), tensors.arguments, stream.get());
    stream.synchronize();
    results[static_cast<std::size_t>(rank)].resize(8);
    tensors.y.download(results[static_cast<std::size_t>(rank)].data(), tensors.bytes);
  }));
  for (const std::vector<float>& y : results) {
    CHECK(std::isnan(y[0]));
    CHECK(y[1] == std::numeric_limits<float>::infinity());
    CHECK((y[2] == 0.0F && !std::signbit(y[2])));
    CHECK(y[3] == -std::numeric_limits<float>::infinity());
    CHECK(std::vector<float>(y.begin() + 4, y.end()) == std::vector<float>{2, 4, 6, 8});
  }
}

TEST_CASE("captured calls are replayed, between calls that are not") {
  using Handle = void*;
  constexpr int world = 4;
  Group group(world);
  require_no_errors(group.errors);
  std::vector<int> wrong(world);
  require_no_errors(on_ranks(world, [&](int rank) {
    const auto begin = driver_function<int(Stream, int)>("cuStreamBeginCapture");
    const auto end = driver_function<int(Stream, Handle*)>("cuStreamEndCapture");
    const auto instantiate =
        driver_function<int(Handle*, Handle, unsigned long long)>("cuGraphInstantiateWithFlags");
    const auto replay = driver_function<int(Handle, Stream)>("cuGraphLaunch");
    const OwnedStream stream(ranks_runtime());
    const OwnedStream captured(ranks_runtime());
    Tensors one(DType::bf16, {4, 64}, rank, 0);
    Tensors two(DType::f32, {3, 24}, rank, 1);
    for (Tensors* tensors : {&one, &two}) {
      tensors->arguments.communicator = &group[rank];
      launch(ranks_runtime(), tensors->arguments, stream.get());
    }
    stream.synchronize();
    Handle graph = nullptr;
    Handle executable = nullptr;
    const auto succeed = [](int result) {
      if (result != 0) {
        throw std::runtime_error("the driver failed");
      }
    };
    succeed(begin(captured.get(), 1));
    launch(ranks_runtime(), one.arguments, captured.get());
    launch(ranks_runtime(), two.arguments, captured.get());
    succeed(end(captured.get(), &graph));
    succeed(instantiate(&executable, graph, 0));
    for (int turn = 2; turn < 8; ++turn) {
      one.x.upload(message_of(DType::bf16, 256, rank, turn).data(), one.bytes, stream.get());
      two.x.upload(message_of(DType::f32, 72, rank, turn).data(), two.bytes, stream.get());
      std::this_thread::sleep_for(std::chrono::milliseconds((rank + turn) % 3));
      if (turn % 3 == 0) {
        launch(ranks_runtime(), two.arguments, stream.get());
        launch(ranks_runtime(), one.arguments, stream.get());
      } else {
        succeed(replay(executable, stream.get()));
      }
      stream.synchronize();
      group[rank].check();
      wrong[static_cast<std::size_t>(rank)] +=
          one.result() == expected_sum(DType::bf16, 256, world, turn) &&
                  two.result() == expected_sum(DType::f32, 72, world, turn)
              ? 0
              : 1;
    }
  }));
  CHECK(wrong == std::vector<int>(world));
}

TEST_CASE("a rank that does not come gives the others an error in bounded time, and itself when it comes") {
  constexpr int world = 4;
  const auto algorithm = GENERATE(Algorithm::one_shot, Algorithm::two_shot);
  Group group(world, short_timeout);
  require_no_errors(group.errors);
  constexpr auto limit = std::chrono::seconds(20);
  std::atomic<int> given_up = 0;
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> errors = outcome_of(group, world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    Tensors tensors(DType::bf16, {4, 64}, rank, 0);
    tensors.arguments.communicator = &group[rank];
    tensors.arguments.algorithm = algorithm;
    const auto prepared = prepare(ranks_runtime(), tensors.arguments);
    while (rank == 2 && given_up < world - 1 && std::chrono::steady_clock::now() - start < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    prepared.launch(stream.get());
    stream.synchronize();
    ++given_up;
  });
  CHECK(std::chrono::steady_clock::now() - start < limit);
  for (const std::string& error : errors) {
    CHECK_THAT(error, Catch::Contains("rank 2 did not come to a call within 400 ms") &&
                          Catch::Contains("broken on all ranks"));
  }
  // The next call says so too, before it launches anything.
  require_no_errors(on_ranks(1, [&](int rank) {
    Tensors tensors(DType::bf16, {4, 64}, rank, 0);
    tensors.arguments.communicator = &group[rank];
    CHECK_THROWS_WITH(launch(ranks_runtime(), tensors.arguments, nullptr), Catch::Contains("did not come"));
  }));
}

TEST_CASE("ranks that make different calls learn it, all of them") {
  constexpr int world = 3;
  Group group(world);
  require_no_errors(group.errors);
  const int difference = GENERATE(0, 1, 2);
  const std::vector<std::string> errors = outcome_of(group, world, [&](int rank) {
    const OwnedStream stream(ranks_runtime());
    const bool odd = rank == 1;
    const DType type = odd && difference == 1 ? DType::f16 : DType::bf16;
    Tensors tensors(type, {odd && difference == 0 ? 7 : 6, odd && difference == 2 ? 56 : 64}, rank, 0);
    tensors.arguments.communicator = &group[rank];
    launch(ranks_runtime(), tensors.arguments, stream.get());
    stream.synchronize();
    // Every rank's call has ended by then, also those that saw no difference by themselves.
    for (int i = 0; i < 2000 && std::atomic_ref(*static_cast<unsigned*>(group[rank].memory().report)) == 0;
         ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (i == 100) {
        launch(ranks_runtime(), tensors.arguments, stream.get());
        stream.synchronize();
      }
    }
  });
  for (const std::string& error : errors) {
    CHECK_THAT(error, Catch::Contains("made another call than rank"));
  }
}

TEST_CASE("a communicator has one stream at a time") {
  constexpr int world = 2;
  Group group(world, short_timeout);
  require_no_errors(group.errors);
  require_no_errors(on_ranks(world, [&](int rank) {
    const OwnedStream one(ranks_runtime());
    const OwnedStream two(ranks_runtime());
    Tensors tensors(DType::bf16, {2, 64}, rank, 0);
    tensors.arguments.communicator = &group[rank];
    launch(ranks_runtime(), tensors.arguments, one.get());
    try {
      launch(ranks_runtime(), tensors.arguments, two.get());
      throw std::runtime_error("the second stream was taken");
    } catch (const Error& error) {
      if (std::string(error.what()).find("rank " + std::to_string(rank) + " is in use on another stream") ==
          std::string::npos) {
        throw;
      }
    }
    one.synchronize();
    group[rank].use_stream(two.get());
    launch(ranks_runtime(), tensors.arguments, two.get());
    two.synchronize();
    group[rank].check();
  }));
  // Prepared launches are not asked for their stream: the device finds that two of them overlap.
  const std::vector<std::string> errors = outcome_of(group, 1, [&](int rank) {
    const OwnedStream one(ranks_runtime());
    const OwnedStream two(ranks_runtime());
    Tensors tensors(DType::bf16, {2, 64}, rank, 0);
    tensors.arguments.communicator = &group[rank];
    const PreparedLaunch call = prepare(ranks_runtime(), tensors.arguments);
    call.launch(one.get());
    call.launch(two.get());
    one.synchronize();
    two.synchronize();
  });
  CHECK_THAT(errors.front(), Catch::Contains("launches of rank 0 overlapped"));
}

TEST_CASE("a call that does not fit is refused before anything is launched") {
  constexpr int world = 2;
  Group group(world, [](CommunicatorOptions& options) {
    options.max_bytes = 1024;
    options.one_shot_bytes = 256;
  });
  require_no_errors(group.errors);
  CHECK(group[0].max_bytes() == 1024);
  CHECK(group[0].one_shot_bytes() == 256);
  require_no_errors(on_ranks(1, [&](int rank) {
    const auto message_with = [&](const Shape& shape, Algorithm algorithm) {
      Tensors tensors(DType::bf16, shape, rank, 0);
      tensors.arguments.communicator = &group[1];
      tensors.arguments.x.device = 1;
      tensors.arguments.y.device = 1;
      tensors.arguments.algorithm = algorithm;
      try {
        static_cast<void>(bind(tensors.arguments));
      } catch (const Error& error) {
        return std::string(error.what());
      }
      return std::string();
    };
    using Catch::Contains;
    CHECK(message_with({8, 64}, Algorithm::automatic).empty());
    CHECK_THAT(message_with({9, 64}, Algorithm::automatic),
               Contains("comm.all_reduce: rank 1 has 9 rows of 128 bytes") && Contains("max_bytes = 1024") &&
                   Contains("holds 8"));
    CHECK_THAT(message_with({3, 64}, Algorithm::one_shot),
               Contains("rank 1 has 3 rows") && Contains("one_shot_bytes = 256") && Contains("takes 2"));
    CHECK(message_with({2, 64}, Algorithm::one_shot).empty());
    // A row takes whole lines of 16 bytes.
    CHECK(message_with({32, 9}, Algorithm::automatic).empty());
    CHECK_FALSE(message_with({33, 9}, Algorithm::automatic).empty());
    Tensors tensors(DType::bf16, {2, 64}, rank, 0);
    tensors.arguments.communicator = &group[1];
    CHECK_THROWS_WITH(bind(tensors.arguments), Contains("'x' is on device 0") && Contains("device 1"));
    tensors.arguments.communicator = &group[0];
    tensors.arguments.y.dtype = DType::f16;
    CHECK_THROWS_WITH(bind(tensors.arguments), Contains("f16") && Contains("the dtype of x"));
  }));
}

TEST_CASE("a group that cannot be made fails on all ranks alike") {
  using Catch::Contains;
  const auto check = [](const std::function<void(CommunicatorOptions&)>& change, const std::string& reason) {
    Group group(3, change);
    for (std::size_t rank = 0; rank < 3; ++rank) {
      CHECK_THAT(group.errors[rank], Contains("Communicator of rank ") && Contains(reason));
      CHECK(group.ranks[rank] == nullptr);
    }
  };
  check([](auto& options) { options.max_bytes = options.rank == 2 ? 0 : 4096; },
        "rank 2 cannot take part: Communicator of rank 2: max_bytes is 0, but must be from 16 to");
  check([](auto& options) { options.max_bytes = options.rank == 1 ? 8192 : 4096; },
        "the max_bytes of rank 1 is 8192, and that of rank 0 is 4096");
  check([](auto& options) { options.one_shot_bytes = options.rank == 1 ? 64 : 128; },
        "the one_shot_bytes of rank 1 is 64");
  check([](auto& options) { options.world = options.rank == 2 ? 4 : 3; }, "the world of rank 2 is 4");
  check([](auto& options) { options.rank = 2 - options.rank; },
        "all_gather gave what rank 2 sent as that of rank 0");
  check([](auto& options) { options.timeout = std::chrono::milliseconds(0); }, "timeout is 0 ms");
  check([](auto& options) { options.max_bytes = std::size_t{1} << 36U; }, "cannot take part");

  CommunicatorOptions options;
  CHECK_THROWS_WITH(Communicator(ranks_runtime(), options), Contains("world is 0, but must be from 2 to 8"));
  options.world = 2;
  CHECK_THROWS_WITH(Communicator(ranks_runtime(), options), Contains("all_gather is empty"));
}

TEST_CASE("thresholds are the published ones, and the workspace is as large as they need") {
  Group group(8, [](CommunicatorOptions& options) { options.max_bytes = std::size_t{1} << 20U; });
  require_no_errors(group.errors);
  CHECK(group[0].one_shot_bytes() == 160 << 10);
  // Two steps need a message and each rank's part of it.
  CHECK(group[0].workspace_bytes() == CommunicatorMemory::control_bytes + 3 * (std::size_t{2} << 20U));
}
