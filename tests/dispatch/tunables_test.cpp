// The choice between tunables that a caller gives, tuned ones, and the op's own.
#include <catch2/catch.hpp>
#include <cstdlib>

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
    record.templates = implementation_of(runtime).builder.templates_digest(rms_norm());
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
  CHECK_THROWS_WITH(ensured(Tunables{{63, 2}}), Catch::Contains("threads = 63 must be one of"));

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
  CHECK(warnings.empty());
}

TEST_CASE_METHOD(Tuned, "a record for other rows, another architecture or another shape is not taken") {
  if (!have_nvrtc()) {
    return;
  }
  TunedRecord part = record;
  part.rows_high = part.rows_low;
  TunedRecord arch = record;
  arch.arch = "sm_75";
  TunedRecord shape = record;
  shape.spec += '0';
  for (const TunedRecord& other : {part, arch, shape}) {
    keep(other);
  }
  CHECK(ensured().tunables_origin == TunablesOrigin::defaults);
  record.rows_low = 1;
  record.rows_high = 100;
  keep(record);
  CHECK(ensured().tunables == tuned_text);
  CHECK(warnings.empty());
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
    CHECK_THAT(warnings[0], Catch::Contains("norm.rms_norm [") && Catch::Contains("templates have changed") &&
                                Catch::Contains("measured on H100"));
  }
  keep(record);
  CHECK(ensured().tunables == tuned_text);

  warnings.clear();
  for (const auto& [tunables, message] :
       {std::pair<std::vector<std::pair<std::string, std::int32_t>>, std::string>{
            {{"threads", 96}, {"rows_per_block", 4}}, "threads = 96 must be one of"},
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
  CHECK(fresh.identify(rms_norm(), call.spec, record.arch, 1).tunables_origin == TunablesOrigin::defaults);
}
