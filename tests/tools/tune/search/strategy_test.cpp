#include "tools/tune/search/strategy.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "kerncast/error.hpp"
#include "tests/tools/tune/search/landscape.hpp"

using namespace kerncast;
using namespace kerncast::tools;
using test::grid;
using test::search;
using test::valley;

namespace {

test::Searched run(const std::string& name, const SearchSpace& space, const test::Landscape& landscape,
                   std::uint64_t seed = 1, std::size_t batch = 4) {
  const std::unique_ptr<Strategy> strategy = parse_strategy(name).make(space, seed);
  return search(*strategy, space, landscape, batch);
}

}  // namespace

TEST_CASE("every strategy begins with the default and tries no candidate twice") {
  SearchSpace space = grid(8, 6);
  space.first = 17;
  space.expected_us.assign(space.size(), 1.0);
  for (const StrategyInfo& info : strategies()) {
    INFO(info.name);
    const test::Searched searched = run(info.name, space, valley(6, 2));
    REQUIRE_FALSE(searched.order.empty());
    CHECK(searched.order.front() == 17);
    CHECK(std::set<std::size_t>(searched.order.begin(), searched.order.end()).size() ==
          searched.order.size());
  }
}

TEST_CASE("the same seed gives the same order, another seed another one") {
  const SearchSpace space = grid(9, 9);
  for (const StrategyInfo& info : strategies()) {
    INFO(info.name);
    CHECK(run(info.name, space, valley(7, 5), 3).order == run(info.name, space, valley(7, 5), 3).order);
  }
  CHECK(run("random", space, valley(7, 5), 3).order != run("random", space, valley(7, 5), 4).order);
  CHECK(run("annealing", space, valley(7, 5), 3).order != run("annealing", space, valley(7, 5), 4).order);
}

TEST_CASE("exhaustive and random search try everything") {
  const SearchSpace space = grid(5, 7);
  CHECK(run("exhaustive", space, valley(4, 6)).order.size() == 35);
  CHECK(run("random", space, valley(4, 6)).order.size() == 35);
  CHECK(run("random:share=0.2", space, valley(4, 6)).order.size() <= 8);
}

TEST_CASE("a strategy says how many candidates it tries at most") {
  const SearchSpace space = grid(12, 12);
  for (const auto& [name, most] :
       {std::pair("guided", 43U), std::pair("exhaustive", 144U), std::pair("random:share=0.25", 37U),
        std::pair("model:most=9", 10U), std::pair("guided:least=1000", 144U)}) {
    INFO(name);
    CHECK(parse_strategy(name).make(space, 1)->most() == most);
    CHECK(run(name, space, valley(9, 4)).order.size() <= most);
  }
}

TEST_CASE("a search with few trials finds the bottom of one valley") {
  const SearchSpace space = grid(12, 12);
  for (const char* name : {"guided", "descent", "annealing"}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      INFO(name << " with seed " << seed);
      const test::Searched searched = run(name, space, valley(9, 4), seed);
      CHECK(searched.best <= 1.02);
    }
  }
  CHECK(run("guided", space, valley(9, 4)).order.size() <= 44);
}

TEST_CASE("a guided search needs no more than its share where warps step through the columns of a row") {
  // Threads of 32 to 1024 for rows of `columns` vectors: a block takes as many steps as it needs for the last
  // of them, so the best count of threads stands alone between worse ones.
  SearchSpace space;
  for (int warps = 1; warps <= 32; ++warps) {
    space.places.push_back({std::log2(warps), 0.0});
  }
  int searches = 0;
  int found = 0;
  for (int columns = 320; columns <= 2560; columns += 64) {
    const auto steps = [columns](const std::vector<double>& place) {
      const double threads = 32 * std::round(std::exp2(place[0]));
      const double turns = std::ceil(columns / threads);
      return (30 + 2 * turns + 0.01 * threads) / 100;
    };
    double best = 1e9;
    for (const std::vector<double>& place : space.places) {
      best = std::min(best, steps(place));
    }
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      space.first = static_cast<std::size_t>((columns / 64 * 7) % 32);
      const test::Searched searched = run("guided:least=1", space, steps, seed);
      CHECK(searched.order.size() <= 9);
      ++searches;
      found += searched.best <= 1.02 * best ? 1 : 0;
    }
  }
  CHECK(found >= 0.95 * searches);
}

TEST_CASE("a guided search leaves a second valley for the deeper one") {
  const SearchSpace space = grid(12, 12);
  const auto two = [](const std::vector<double>& place) {
    return std::min(valley(1, 1)(place), valley(10, 9)(place) - 0.1);
  };
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    found += run("guided", space, two, seed).best <= 0.92 ? 1 : 0;
  }
  CHECK(found >= 9);
}

TEST_CASE("candidates that cannot be used are passed over") {
  const SearchSpace space = grid(8, 8);
  const auto broken = [](const std::vector<double>& place) {
    return place[0] > 4 ? std::numeric_limits<double>::infinity() : valley(4, 6)(place);
  };
  for (const StrategyInfo& info : strategies()) {
    INFO(info.name);
    CHECK(run(info.name, space, broken).best < 1.2);
  }
}

TEST_CASE("the model's order is tried until the model says that nothing is left") {
  SearchSpace space = grid(10, 10);
  for (std::size_t i = 0; i < space.size(); ++i) {
    space.expected_us.push_back(10 + 0.5 * static_cast<double>((i * 37) % 100));
  }
  const test::Searched searched = run("model", space, valley(0, 0));
  CHECK(searched.order.size() >= 8);
  CHECK(searched.order.size() <= 17);
  for (std::size_t i = 2; i < searched.order.size(); ++i) {
    CHECK(space.expected_us[searched.order[i - 1]] <= space.expected_us[searched.order[i]]);
  }
  // All that follows is expected to take three times as long.
  SearchSpace steep = grid(10, 10);
  for (std::size_t i = 0; i < steep.size(); ++i) {
    steep.expected_us.push_back(i < 3 ? 10.0 : 30.0);
  }
  CHECK(run("model", steep, valley(0, 0)).order.size() == 8);
}

TEST_CASE("a space of one candidate is searched by every strategy") {
  const SearchSpace space = grid(1, 1);
  for (const StrategyInfo& info : strategies()) {
    INFO(info.name);
    CHECK(run(info.name, space, valley(0, 0)).order == std::vector<std::size_t>{0});
  }
  SearchSpace bare;
  bare.places = {{}};
  for (const StrategyInfo& info : strategies()) {
    INFO(info.name);
    CHECK(run(info.name, bare, [](const auto&) { return 1.0; }).order.size() == 1);
  }
}

TEST_CASE("what a strategy foresees is what it then wants") {
  const SearchSpace space = grid(6, 6);
  const std::unique_ptr<Strategy> strategy = parse_strategy("random").make(space, 5);
  strategy->tell(strategy->next(4).front(), 1);
  std::vector<std::size_t> foreseen = strategy->foresee(4);
  const std::vector<std::size_t> wanted = strategy->next(4);
  REQUIRE(wanted.size() >= 3);
  foreseen.resize(wanted.size());
  CHECK(foreseen == wanted);
}

TEST_CASE("a strategy that is misspelt is an error that names the nearest") {
  CHECK_THROWS_WITH(parse_strategy("guidd"), Catch::Contains("did you mean guided?"));
  CHECK_THROWS_WITH(parse_strategy("guided:frist=3"), Catch::Contains("did you mean first?"));
  CHECK_THROWS_WITH(parse_strategy("guided:share=2"), Catch::Contains("no number from 0 to 1"));
  CHECK_THROWS_WITH(parse_strategy("guided:share"), Catch::Contains("no number"));
  CHECK_THROWS_WITH(parse_strategy("exhaustive:first=1"), Catch::Contains("has no parameter first"));
  CHECK_THROWS_AS(parse_strategy(""), Error);
}
