#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "runtime/dispatch/tunables/launch_defect.hpp"

using namespace kerncast;
using Catch::Contains;

namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

/// The reason why the op refuses the tunables in a call of 100 rows on a large device; empty if it takes
/// them.
std::string defect_of(const char* name, const Settings& params, const Settings& tunables) {
  const OpDefinition& op = OpRegistry::instance().require(name);
  return launch_defect(op, specialise(op, params), parse_tunables(op, tunables), DeviceTraits{}, "sm_90",
                       100);
}

std::string norm_defect(const char* name, const Settings& params, const char* threads, const char* rows) {
  return defect_of(name, params, {{"threads", threads}, {"rows_per_block", rows}});
}

}  // namespace

TEST_CASE("a row of a norm has whole warps, or a part of a warp that is a power of two") {
  const Settings narrow = {{"hidden", "512"}};
  for (const char* name : {"norm.rms_norm", "norm.l2_norm", "norm.layer_norm", "norm.fused_add_rms_norm",
                           "norm.gated_rms_norm", "norm.scale_shift", "quant.per_token_fp8"}) {
    INFO(name);
    CHECK(norm_defect(name, narrow, "96", "1").empty());
    CHECK(norm_defect(name, narrow, "384", "4").empty());
    CHECK(norm_defect(name, narrow, "128", "32").empty());
    CHECK(norm_defect(name, narrow, "96", "2") ==
          "2 rows of a block would share its 96 threads; each must get whole warps, or 1, 2, 4, 8 or 16 "
          "threads");
    CHECK_FALSE(norm_defect(name, narrow, "96", "32").empty());
  }
  CHECK(norm_defect("norm.rms_norm_quant", narrow, "192", "2").empty());
  CHECK_THAT(norm_defect("norm.rms_norm_quant", narrow, "32", "2"), Contains("16 threads; it needs a warp"));
}

TEST_CASE("wide rows are summed up by a power of two of warps") {
  CHECK(norm_defect("norm.rms_norm", {{"hidden", "8192"}}, "896", "1").empty());
  CHECK(norm_defect("norm.rms_norm", {{"hidden", "8200"}}, "512", "1").empty());
  CHECK_THAT(norm_defect("norm.rms_norm", {{"hidden", "8200"}}, "896", "1"),
             Contains("28 warps; rows of more than 8192 need"));
  // Spans are of 16 bytes of the widest tensor that the kernel reads or writes with x.
  CHECK(norm_defect("norm.rms_norm", {{"hidden", "8192"}, {"y_dtype", "f32"}}, "896", "1").empty());
  CHECK_THAT(norm_defect("norm.rms_norm", {{"hidden", "8192"}, {"x_dtype", "f32"}}, "896", "1"),
             Contains("more than 4096"));
  CHECK_THAT(norm_defect("norm.layer_norm", {{"hidden", "8192"}, {"y_dtype", "f32"}, {"alignment", "8"}},
                         "896", "1"),
             Contains("more than 4096"));
  CHECK_THAT(norm_defect("norm.fused_add_rms_norm",
                         {{"hidden", "8192"}, {"residual_dtype", "f32"}, {"alignment", "8"}}, "896", "1"),
             Contains("more than 4096"));
  // A largest magnitude does not depend on the order.
  CHECK(norm_defect("quant.per_token_fp8", {{"hidden", "65536"}}, "896", "1").empty());
}

TEST_CASE("the threads that share a group when it is read again are threads of one block") {
  const auto defect = [](const char* alignment, const char* threads) {
    return defect_of("quant.dequant", {{"hidden", "256"}, {"group", "128"}, {"alignment", alignment}},
                     {{"threads", threads}, {"vectors", "1"}});
  };
  CHECK(defect("16", "96").empty());
  CHECK(defect("2", "384").empty());
  CHECK_THAT(defect("2", "96"), Contains("96 threads is no multiple of the 128 threads"));
}

TEST_CASE("packed rows of a block end where an access may begin") {
  CHECK(defect_of("quant.fp8_pack", {{"hidden", "128"}}, {{"threads", "384"}}).empty());
  CHECK(defect_of("quant.fp8_pack", {{"hidden", "1024"}}, {{"threads", "384"}}).empty());
  CHECK_THAT(defect_of("quant.fp8_pack", {{"hidden", "1024"}}, {{"threads", "96"}}),
             Contains("3 packed rows of 1028 bytes") && Contains("16 bytes of an access"));
  CHECK(defect_of("quant.fp8_pack", {{"hidden", "1024"}, {"packed_alignment", "4"}}, {{"threads", "96"}})
            .empty());
}

TEST_CASE("blocks that group slots divide their share, and their counts fit into shared memory") {
  const auto defect = [](const char* experts, const char* split, const char* threads) {
    return defect_of("moe.align_block_size", {{"experts", experts}, {"top_k", "8"}, {"split", split}},
                     {{"threads", threads}});
  };
  CHECK(defect("256", "false", "384").empty());
  CHECK(defect("256", "true", "512").empty());
  CHECK_THAT(defect("256", "true", "384"), Contains("384 threads do not divide the 4096 slots"));
  CHECK(defect("512", "true", "512").empty());
  CHECK_THAT(defect("512", "true", "1024"),
             Contains("512 experts in 32 warps take") && Contains("a block has 49152"));
  const auto permute_defect = [](const char* placing, const char* threads, const char* grouping_threads) {
    return defect_of("moe.permute",
                     {{"hidden", "2880"}, {"experts", "1024"}, {"top_k", "8"}, {"placing", placing}},
                     {{"threads", threads},
                      {"rows_per_block", "4"},
                      {"blocks_per_row", "1"},
                      {"grouping_threads", grouping_threads}});
  };
  CHECK(permute_defect("direct", "96", "1024").empty());
  CHECK(permute_defect("whole", "96", "128").empty());
  CHECK_THAT(permute_defect("whole", "96", "1024"), Contains("shared memory"));
}

TEST_CASE("a thread of a router holds no more experts than it can sort") {
  const Settings gate = {{"experts", "256"}, {"top_k", "8"}};
  for (const char* name : {"moe.topk_softmax", "moe.topk_sigmoid", "moe.fused_gate"}) {
    CHECK(defect_of(name, gate, {{"threads_per_row", "64"}, {"rows_per_block", "4"}}).empty());
    CHECK_THAT(defect_of(name, gate, {{"threads_per_row", "32"}, {"rows_per_block", "4"}}),
               Contains("each of 32 threads would hold 8 of the 256 experts, and may hold 4"));
  }
}

TEST_CASE("no op has more combinations than a search can try one by one") {
  const std::vector<const OpDefinition*> ops = OpRegistry::instance().all();
  CHECK(ops.size() > 30);
  for (const OpDefinition* op : ops) {
    INFO(op->name);
    CHECK(all_tunables(*op).size() <= 1500);
  }
}
