// The choice between tunables that a caller gives, tuned ones, and the op's own.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <limits>
#include <set>

#include "cache/tuning/tuning_store.hpp"
#include "tests/dispatch/rows_of_ones.hpp"
#include "tests/dispatch/sample_op.hpp"

using namespace kerncast;
using cache::TunedRecord;
using cache::TunedSource;

namespace {

const OpDefinition& rms_norm() {
  return definition_of<norm::RmsNorm>();
}

/// Rows of ones, a cache of their own, and a tuned record for them.
struct Tuned : RowsOfOnes {
  explicit Tuned(MissPolicy policy = MissPolicy::compile) : RowsOfOnes(policy), call(bind(arguments)) {
    const RowRange bucket = row_range(row_bucket(call.rows));
    record.op = "norm.rms_norm";
    record.spec = format_specialisation(rms_norm(), call.spec);
    record.arch = runtime.arch(0);
    record.rows_low = bucket.lowest;
    record.rows_high = bucket.highest;
    record.source = TunedSource::estimate;
    record.device = "H100";
    record.tunables = {{"threads", 512}, {"rows_per_block", 4}};
    record.time_us = 1.5;
    record.templates = implementation_of(runtime).builder.templates_digest(rms_norm(), call.spec);
    record.recorded_us = 1'764'000'000'000'000;
  }
  void keep(const TunedRecord& one) const {
    REQUIRE(cache::TuningStore(folder.path(), nullptr).record({one}).failed == 0);
  }
  [[nodiscard]] RuntimeOptions options(MissPolicy policy = MissPolicy::compile) {
    RuntimeOptions out = RowsOfOnes::options(policy);
    out.warn = [this](std::string_view text) { warnings.emplace_back(text); };
    return out;
  }
  /// The tunables that a runtime uses which has not read the store before.
  [[nodiscard]] KernelReport ensured(const std::optional<Tunables>& given = std::nullopt) {
    return Runtime(options()).ensure(rms_norm(), call, given);
  }

  Call call;
  TunedRecord record;
  std::vector<std::string> warnings;
};

bool have_nvrtc() {
  if (compiler::load_nvrtc().nvrtc == nullptr) {
    WARN("no NVRTC on this machine");
    return false;
  }
  return true;
}

constexpr const char* tuned_text = "threads=512 rows_per_block=4";

}  // namespace

TEST_CASE("row ranges are the row counts of their bucket") {
  CHECK(row_range(0).lowest == 1);
  CHECK(row_range(0).highest == 1);
  CHECK(row_range(14).lowest == 8193);
  for (int bucket = 0; bucket < 15; ++bucket) {
    const RowRange rows = row_range(bucket);
    CHECK(row_bucket(rows.lowest) == bucket);
    CHECK(row_bucket(rows.highest) == bucket);
    CHECK((rows.lowest == 1 || row_bucket(rows.lowest - 1) == bucket - 1));
  }
}

TEST_CASE("tunables by name") {
  const OpDefinition op = sample_op();
  CHECK(parse_tunables(op, {{"threads", "256"}}) == Tunables{{256}});
  CHECK_THROWS_WITH(parse_tunables(op, {{"threads", "64"}}), Catch::Contains("must be one of 128, 256"));
  CHECK_THROWS_WITH(parse_tunables(op, {{"threads", "x"}}), Catch::Contains("'x'"));
  CHECK_THROWS_WITH(parse_tunables(op, {{"thread", "128"}}), Catch::Contains("did you mean threads"));
  CHECK_THROWS_WITH(parse_tunables(op, {}), Catch::Contains("threads is not given"));
  CHECK_THROWS_WITH(parse_tunables(op, {{"threads", "128"}, {"threads", "128"}}), Catch::Contains("twice"));
  CHECK_THROWS_WITH(check_tunables(op, Tunables{{100}}), Catch::Contains("threads = 100"));
}

TEST_CASE_METHOD(Tuned, "without a record the op's own, with one the tuned, given ones before both") {
  if (!have_nvrtc()) {
    return;
  }
  const KernelReport own = ensured();
  CHECK(own.tunables_origin == TunablesOrigin::defaults);
  CHECK(own.tuned_record.empty());
  REQUIRE(own.tunables != tuned_text);
  CHECK(!std::filesystem::exists(folder.path() + "/tuning.sqlite"));

  keep(record);
  const KernelReport tuned = ensured();
  CHECK(tuned.tunables_origin == TunablesOrigin::tuned);
  CHECK(tuned.tunables == tuned_text);
  CHECK_THAT(tuned.tuned_record, Catch::Contains("estimated for H100: 1.50 us for 3 to 4 rows, 2025-11-24") &&
                                     Catch::Contains(folder.path()));
  CHECK(tuned.key != own.key);

  // A measured record wins over an estimated one, even if its time is longer.
  TunedRecord measured = record;
  measured.source = TunedSource::measured;
  measured.device = "NVIDIA H100";
  measured.time_us = 900;
  measured.tunables = {{"threads", 256}, {"rows_per_block", 1}};
  keep(measured);
  CHECK(ensured().tunables == "threads=256 rows_per_block=1");

  const Tunables given{{64, 2}};
  const KernelReport asked = ensured(given);
  CHECK(asked.tunables_origin == TunablesOrigin::given);
  CHECK(asked.tunables == "threads=64 rows_per_block=2");
  CHECK_THROWS_WITH(ensured(Tunables{{63, 2}}), Catch::Contains("threads = 63 must be from 32"));

  // The result does not depend on the tunables.
  Runtime fresh(options());
  fresh.dispatch(rms_norm(), call, nullptr);
  context.synchronize();
  CHECK(result() == std::vector<float>(rows * hidden, 1.0F));
  y.fill(0xCD);
  const PreparedLaunch prepared = fresh.prepare(rms_norm(), call, given);
  prepared.launch(nullptr);
  context.synchronize();
  CHECK(result() == std::vector<float>(rows * hidden, 1.0F));
  // Tunables given for one launch do not apply to others.
  CHECK(fresh.ensure(rms_norm(), call).tunables == "threads=256 rows_per_block=1");
  CHECK_THROWS_WITH(ensured(Tunables{{96, 4}}),
                    Catch::Contains("with tunables threads=96 rows_per_block=4: 4 rows of a block"));
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Tuned, "a record for another architecture or another shape is not taken") {
  if (!have_nvrtc()) {
    return;
  }
  TunedRecord arch = record;
  arch.arch = "sm_75";
  TunedRecord shape = record;
  shape.spec += '0';
  for (const TunedRecord& other : {arch, shape}) {
    keep(other);
  }
  CHECK(ensured().tunables_origin == TunablesOrigin::defaults);
  record.rows_low = 1;
  record.rows_high = 100;
  keep(record);
  CHECK(ensured().tunables == tuned_text);
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Tuned, "if no record covers the rows the nearest is taken, and the report says so") {
  const auto key_at = [&](Runtime& fresh, std::int64_t count) {
    return fresh.identify(rms_norm(), call.spec, record.arch, count);
  };
  TunedRecord many = record;
  many.rows_low = 129;
  many.rows_high = 256;
  many.tunables = {{"threads", 128}, {"rows_per_block", 2}};
  many.time_us = 9;
  keep(record);
  keep(many);
  Runtime fresh(options());
  CHECK_THAT(key_at(fresh, 4).tuned_record, !Catch::Contains("nearest"));
  for (const std::int64_t count : {1, 2, 8, 16}) {
    CHECK(key_at(fresh, count).tunables == tuned_text);
  }
  for (const std::int64_t count : {64, 128, 129, 257, 8192, 100'000}) {
    CHECK(key_at(fresh, count).tunables == "threads=128 rows_per_block=2");
  }
  CHECK_THAT(key_at(fresh, 40).tuned_record,
             Catch::Contains("estimated for H100: 9.00 us for 129 to 256 rows") &&
                 Catch::Contains("; no record covers 33 to 64 rows, this is the nearest"));
  CHECK_THAT(key_at(fresh, 1).tuned_record, Catch::Contains("no record covers 1 row, this is the nearest"));
  CHECK_THAT(key_at(fresh, 9000).tuned_record, Catch::Contains("no record covers 8193 and more rows"));

  // A measurement is preferred, however far its rows are.
  TunedRecord measured = record;
  measured.source = TunedSource::measured;
  measured.device = "NVIDIA H100";
  measured.rows_low = 1;
  measured.rows_high = 1;
  measured.tunables = {{"threads", 64}, {"rows_per_block", 1}};
  keep(measured);
  Runtime again(options());
  CHECK(key_at(again, 200).tunables == "threads=64 rows_per_block=1");
  // Whichever rows ask first, a bucket has one choice.
  for (const std::int64_t first : {33, 50, 64}) {
    Runtime other(options());
    CHECK(key_at(other, first).tunables == key_at(again, 40).tunables);
    CHECK(key_at(other, first).tuned_record == key_at(again, 40).tuned_record);
  }
  CHECK(warnings.empty());
}

namespace {

/// An op whose blocks of 256 threads need more shared memory the more rows there are.
OpDefinition hungry_op() {
  OpDefinition op = rms_norm();
  op.name = "test.hungry";
  op.geometry = [](const Specialisation&, const Tunables& tunables, const DeviceTraits&,
                   std::int64_t rows) noexcept {
    const bool hungry = tunables.values[0] == 256;
    LaunchGeometry geometry;
    geometry.grid = {1, 1, 1};
    geometry.block = {static_cast<std::uint32_t>(tunables.values[0]), 1, 1};
    geometry.dynamic_shared =
        hungry ? 1024 * static_cast<std::uint32_t>(std::min<std::int64_t>(rows, 1000)) : 0;
    return geometry;
  };
  return op;
}

}  // namespace

TEST_CASE_METHOD(Tuned,
                 "the nearest record is passed over without a word if its tunables are not valid there") {
  const OpDefinition op = hungry_op();
  TunedRecord small = record;
  small.op = op.name;
  small.templates = implementation_of(runtime).builder.templates_digest(op, call.spec);
  small.tunables = {{"threads", 256}, {"rows_per_block", 1}};
  TunedRecord large = small;
  large.rows_low = 8193;
  large.rows_high = std::numeric_limits<std::int64_t>::max();
  large.tunables = {{"threads", 128}, {"rows_per_block", 1}};
  keep(small);
  const auto key_at = [&](std::int64_t count) {
    return Runtime(options()).identify(op, call.spec, record.arch, count);
  };
  CHECK(key_at(16).tunables == "threads=256 rows_per_block=1");
  // Without another record the op's own choice is left.
  CHECK(key_at(5000).tunables_origin == TunablesOrigin::defaults);
  // 129 rows would fit and 256 do not, so no row count of their bucket uses the record.
  CHECK(key_at(129).tunables_origin == TunablesOrigin::defaults);
  CHECK(key_at(256).tunables_origin == TunablesOrigin::defaults);
  keep(large);
  CHECK(key_at(16).tunables == "threads=256 rows_per_block=1");
  CHECK(key_at(129).tunables == "threads=128 rows_per_block=1");
  CHECK(key_at(5000).tunables == "threads=128 rows_per_block=1");
  CHECK(key_at(5000).tunables_origin == TunablesOrigin::tuned);
  CHECK(warnings.empty());
  // A record whose own rows do not suit its tunables is at fault.
  small.rows_low = 1025;
  small.rows_high = 2048;
  keep(small);
  CHECK(key_at(2000).tunables == "threads=128 rows_per_block=1");
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("is ignored") && Catch::Contains("bytes of shared memory"));
}

TEST_CASE_METHOD(Tuned, "what the virtual GPU measured does not pass for a measurement of another device") {
  driver::DriverApi const& api = context.api();
  char name[256] = {};
  REQUIRE(api.cuDeviceGetName(name, sizeof name, 0) == driver::CUDA_SUCCESS);
  TunedRecord simulated = record;
  simulated.source = TunedSource::measured;
  simulated.device = name;
  simulated.tunables = {{"threads", 64}, {"rows_per_block", 1}};
  keep(simulated);
  TunedRecord measured = simulated;
  measured.device = "NVIDIA H100";
  measured.rows_low = measured.rows_high = 1;
  measured.tunables = {{"threads", 128}, {"rows_per_block", 1}};
  keep(measured);
  Runtime fresh(options());
  TunablesRequest request{&rms_norm(), call.spec, record.arch, fresh.traits(0), name, call.rows};
  TunablesChooser& chooser = implementation_of(fresh).chooser;
  CHECK(chooser.choose(request, std::nullopt).tunables.values[0] == 64);
  request.device = "NVIDIA H200";
  CHECK(chooser.choose(request, std::nullopt).tunables.values[0] == 128);
}

TEST_CASE_METHOD(Tuned, "all choices of the store are those of every device that a record names") {
  const auto measured_on = [&](const std::string& device, std::int32_t threads, std::int64_t low,
                               std::int64_t high) {
    TunedRecord one = record;
    one.source = TunedSource::measured;
    one.device = device;
    one.rows_low = low;
    one.rows_high = high;
    one.tunables = {{"threads", threads}, {"rows_per_block", 1}};
    keep(one);
  };
  measured_on("NVIDIA H100 PCIe", 64, 1, 1);
  measured_on("NVIDIA H100 80GB HBM3", 128, 1, 64);
  measured_on("NVIDIA GH200", 512, 4097, 8192);
  keep(record);
  Runtime fresh(options());
  const auto threads = [&](std::int64_t count) {
    std::set<std::int32_t> out;
    for (const Tunables& tunables : fresh.tunables(rms_norm(), call.spec, record.arch, count)) {
      CHECK(out.insert(tunables.values[0]).second);
    }
    return out;
  };
  const std::int32_t own = fresh.tunables(rms_norm(), call.spec, record.arch, 8192).back().values[0];
  // Each device prefers its own measurements, however far, and an unknown one the nearest of any.
  CHECK(threads(8192) == std::set<std::int32_t>{64, 128, 512, own});
  TunablesRequest request{&rms_norm(), call.spec, record.arch, fresh.traits(0), {}, 1};
  for (const char* device :
       {"NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3", "NVIDIA GH200", "NVIDIA H200", ""}) {
    for (std::int64_t count = 1; count <= 10'000; count = count * 3 / 2 + 1) {
      request.device = device;
      request.rows = count;
      const Tunables chosen = implementation_of(fresh).chooser.choose(request, std::nullopt).tunables;
      const std::vector<Tunables> all = fresh.tunables(rms_norm(), call.spec, record.arch, count);
      CHECK(std::find(all.begin(), all.end(), chosen) != all.end());
    }
  }
}

TEST_CASE_METHOD(Tuned,
                 "a stale or unsatisfiable record is ignored with one message, the next best is taken") {
  if (!have_nvrtc()) {
    return;
  }
  TunedRecord stale = record;
  stale.source = TunedSource::measured;
  stale.templates[0] = stale.templates[0] == 'f' ? '0' : 'f';
  keep(stale);
  {
    Runtime fresh(options());
    CHECK(fresh.ensure(rms_norm(), call).tunables_origin == TunablesOrigin::defaults);
    CHECK(fresh.ensure(rms_norm(), call).tunables_origin == TunablesOrigin::defaults);
    REQUIRE(warnings.size() == 1);
    CHECK_THAT(warnings[0], Catch::Contains("norm.rms_norm [") &&
                                Catch::Contains("templates or launches have changed") &&
                                Catch::Contains("measured on H100"));
  }
  keep(record);
  CHECK(ensured().tunables == tuned_text);

  warnings.clear();
  for (const auto& [tunables, message] :
       {std::pair<std::vector<std::pair<std::string, std::int32_t>>, std::string>{
            {{"threads", 97}, {"rows_per_block", 4}}, "threads = 97 must be from 32"},
        {{{"threads", 96}, {"rows_per_block", 4}}, "4 rows of a block would share its 96 threads"},
        {{{"threads", 256}}, "rows_per_block is not given"},
        {{{"threads", 256}, {"rows_per_block", 1}, {"warps", 4}}, "no tunable 'warps'"}}) {
    record.tunables = tunables;
    ++record.recorded_us;
    stale.recorded_us = record.recorded_us;
    keep(record);
    CHECK(ensured().tunables_origin == TunablesOrigin::defaults);
    CHECK_THAT(warnings.back(), Catch::Contains(message));
  }
}

TEST_CASE_METHOD(Tuned, "a tuned kernel that cannot be had never fails what the op's own would serve") {
  if (!have_nvrtc()) {
    return;
  }
  const KernelReport own = ensured();
  keep(record);
  Runtime strict(options(MissPolicy::cache_only));
  const KernelReport served = strict.ensure(rms_norm(), call);
  CHECK(served.key == own.key);
  CHECK(served.tunables_origin == TunablesOrigin::defaults);
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("is ignored") && Catch::Contains("Warm it first"));

  // After a warm-up without a device the kernel is cached.
  CHECK(Runtime(options()).compile(rms_norm(), call.spec, record.arch, call.rows).tunables == tuned_text);
  CHECK(Runtime(options(MissPolicy::cache_only)).ensure(rms_norm(), call).tunables == tuned_text);
}

TEST_CASE_METHOD(Tuned, "a damaged or unreadable tuning store costs a launch nothing but a warning") {
  if (!have_nvrtc()) {
    return;
  }
  keep(record);
  std::filesystem::remove(folder.path() + "/tuning.good.sqlite");
  std::filesystem::resize_file(folder.path() + "/tuning.sqlite", 5000);
  CHECK(ensured().tunables_origin == TunablesOrigin::defaults);
  CHECK(warnings.size() == 1);
}

TEST_CASE_METHOD(Tuned, "identify and inspect tell where tunables come from") {
  keep(record);
  Runtime fresh(options());
  const KeyReport key = fresh.identify(rms_norm(), call.spec, record.arch, call.rows);
  CHECK(key.tunables_origin == TunablesOrigin::tuned);
  CHECK(key.tunables == tuned_text);
  CHECK(fresh.identify(rms_norm(), call.spec, record.arch, call.rows, Tunables{{64, 1}}).tunables_origin ==
        TunablesOrigin::given);
  CHECK(fresh.identify(rms_norm(), call.spec, "sm_75", 4).tunables_origin == TunablesOrigin::defaults);
}
