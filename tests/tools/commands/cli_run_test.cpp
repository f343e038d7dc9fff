#include <bit>
#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <set>
#include <thread>

#include "tests/tools/commands/command_process.hpp"
#include "tools/io/safetensors.hpp"

namespace {

using kerncast::DType;
using kerncast::tools::StoredTensor;
using kerncast::tools::write_safetensors;
using nlohmann::json;

const std::vector<std::string> run_tiny = {"run", "--model", "tiny.json", "--rows", "1,5", "--json"};

/// A tensor of `dtype` in which every element has the bytes of `value`.
template <class T>
StoredTensor filled(const std::string& name, DType dtype, std::vector<std::int64_t> shape, T value) {
  StoredTensor tensor{name, dtype, std::move(shape), {}};
  tensor.bytes.resize(static_cast<std::size_t>(kerncast::tools::element_count(tensor.shape)) * sizeof value);
  for (std::size_t at = 0; at < tensor.bytes.size(); at += sizeof value) {
    std::memcpy(tensor.bytes.data() + at, &value, sizeof value);
  }
  return tensor;
}

TEST_CASE("a model runs, is verified, and is cached the second time") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_model());
  const Outcome first = place.run(run_tiny);
  INFO(first.err);
  REQUIRE(first.code == 0);
  const json rows = first.json();
  std::set<std::string> ops;
  std::size_t compiled = 0;
  for (const json& row : rows) {
    INFO(row.dump());
    ops.insert(row.at("op"));
    CHECK(row.at("ok") == true);
    CHECK(row.at("checked") == true);
    CHECK(row.at("max_error").is_number());
    CHECK(row.at("dispatch_ns").get<double>() > 0);
    CHECK_THAT(row.at("arch").get<std::string>(), Catch::StartsWith("sm_"));
    CHECK(row.at("key").get<std::string>().size() == 32);
    CHECK_FALSE(row.at("device").get<std::string>().empty());
    CHECK((row.at("rows") == 1 || row.at("rows") == 5));
    if (row.at("cached") == false) {
      ++compiled;
      CHECK(row.at("compile_ms").get<double>() > 0);
      CHECK(row.at("load_us").get<double>() > 0);
    }
  }
  for (const char* op : {"moe.align_block_size", "moe.fused_gate", "moe.permute", "norm.fused_add_rms_norm",
                         "norm.rms_norm", "quant.per_token_group"}) {
    INFO(op);
    CHECK(ops.contains(op));
  }
  CHECK(compiled > 0);

  const Outcome second = place.run(run_tiny);
  REQUIRE(second.code == 0);
  const json again = second.json();
  REQUIRE(again.size() == rows.size());
  for (std::size_t i = 0; i < again.size(); ++i) {
    CHECK(again.at(i).at("cached") == true);
    CHECK(again.at(i).at("compile_ms") == 0);
    CHECK(again.at(i).at("key") == rows.at(i).at("key"));
    CHECK(again.at(i).at("max_error") == rows.at(i).at("max_error"));
  }

  // With a warm cache, no compiler is needed.
  const Outcome without = place.run(run_tiny, {{"KERNCAST_NVRTC", "none"}});
  INFO(without.err);
  CHECK(without.code == 0);
  for (const json& row : without.json()) {
    CHECK(row.at("ok") == true);
    CHECK(row.at("cached") == true);
  }

  const Outcome table = place.run({"run", "--model", "tiny.json", "--rows", "1"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::StartsWith("op ") && Catch::Contains("specialisation") &&
                            Catch::Contains("compile ms  load µs  dispatch ns  max error ulp") &&
                            Catch::Contains("runs right, 0 kernels compiled, ") && Catch::Contains("cached"));
  CHECK(table.out.find('\033') == std::string::npos);
  CHECK(table.err.empty());

  const json listed = place.run({"cache", "ls", "--json"}).json();
  CHECK(listed.size() == compiled);
  const json statistics = place.run({"cache", "stat", "--json"}).json();
  CHECK(statistics.at("entries") == compiled);
  const std::string key = listed.at(0).at("key");
  const std::string file =
      place.directory.file("cache/v1/" + key.substr(0, 2) + "/" + key.substr(2) + ".kce");
  const Outcome entry = place.run({"inspect", file, "--json"});
  CHECK(entry.code == 0);
  CHECK(entry.json().at("key") == key);
  CHECK_THAT(entry.json().at("ptx").get<std::string>(), Catch::Contains(".entry"));
  const Outcome cleared = place.run({"cache", "clear"});
  CHECK(cleared.code == 0);
  CHECK_THAT(cleared.out, Catch::StartsWith("removed " + std::to_string(compiled) + " entries"));
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
}

TEST_CASE("a model that no op serves is an error and no empty success") {
  const CommandPlace place;
  place.directory.write("odd.json", R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 100003, "intermediate_size": 100003, "num_attention_heads": 1, "torch_dtype": "bfloat16"})");
  const Outcome outcome = place.run({"run", "--model", "odd.json", "--json"});
  CHECK(outcome.code == 1);
  CHECK(outcome.json().empty());
  CHECK_THAT(outcome.err, Catch::Contains("kerncast: error: nothing was run"));
}

TEST_CASE("a corrupt entry is compiled again") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  REQUIRE(place.run(run_tiny).code == 0);
  for (const auto& item : std::filesystem::recursive_directory_iterator(place.directory.file("cache/v1"))) {
    if (item.path().extension() == ".kce") {
      std::filesystem::resize_file(item.path(), 100);
    }
  }
  const Outcome after = place.run(run_tiny);
  CHECK(after.code == 0);
  for (const json& row : after.json()) {
    CHECK(row.at("ok") == true);
  }
  CHECK(after.json().at(0).at("cached") == false);
  CHECK(place.run({"cache", "stat", "--json"}).json().at("quarantined").get<int>() > 0);
}

TEST_CASE("without a compiler and a cached kernel the message says what to do") {
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_model());
  const Outcome cold = place.run(run_tiny, {{"KERNCAST_NVRTC", "none"}});
  CHECK(cold.code == 1);
  CHECK_THAT(cold.err, Catch::Contains("NVRTC"));
  for (const json& row : cold.json()) {
    CHECK(row.at("ok") == false);
    CHECK_FALSE(row.at("error").get<std::string>().empty());
    CHECK(row.at("dispatch_ns").is_null());
  }
}

TEST_CASE("an unwritable cache directory costs one warning") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  place.directory.write("file", "");
  const Outcome outcome = place.run(run_tiny, {{"KERNCAST_CACHE_DIR", place.directory.file("file/cache")}});
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(outcome.count_in_err("warning") == 1);
  CHECK(outcome.json().at(0).at("ok") == true);
}

TEST_CASE("warming needs no device, and what it compiled is found by a run") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  const std::string arch = place.run({"doctor", "--json"}).json().at("devices").at(0).at("arch");
  const Outcome warm = place.run({"warm", "--model", "tiny.json", "--arch", arch + ",sm_80", "--json"},
                                 {{"KERNCAST_DRIVER", "/no/such/libcuda.so"}});
  INFO(warm.err);
  REQUIRE(warm.code == 0);
  std::set<std::string> keys;
  for (const json& kernel : warm.events("kernel")) {
    CHECK(kernel.at("ok") == true);
    CHECK(kernel.at("cached") == false);
    CHECK(kernel.at("registers").get<int>() > 0);
    CHECK(keys.insert(kernel.at("key")).second);
  }
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == keys.size());
  const Outcome run = place.run(run_tiny, {{"KERNCAST_NVRTC", "none"}});
  INFO(run.err);
  CHECK(run.code == 0);
  for (const json& row : run.json()) {
    CHECK(row.at("cached") == true);
    CHECK(keys.count(row.at("key")) == 1);
  }
  const Outcome again =
      place.run({"warm", "--model", "tiny.json,tiny.json", "--arch", arch, "--rows", "1", "--json"});
  CHECK(again.code == 0);
  const json end = again.events("end").at(0);
  CHECK(end.at("cached") == end.at("kernels"));
  CHECK(end.at("compiled") == 0);
  CHECK(end.at("failed") == 0);
  CHECK(again.err.empty());
  const Outcome refused =
      place.run({"warm", "--model", "tiny.json", "--arch", "sm_55", "--rows", "1", "--json"});
  CHECK(refused.code == 2);
}

TEST_CASE("inspect shows source, PTX, resources and the key's fields") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::vector<std::string> inspect = {"inspect",    "norm.rms_norm", "--set",
                                            "hidden=256", "--arch",        "sm_90a"};
  const auto with = [&](const char* flag) {
    std::vector<std::string> words = inspect;
    words.emplace_back(flag);
    return place.run(words);
  };
  const json report = with("--json").json();
  CHECK(report.at("arch") == "sm_90a");
  CHECK(report.at("registers").get<int>() > 0);
  CHECK(report.at("cubin_bytes").get<int>() > 0);
  CHECK_THAT(report.at("source").get<std::string>(), Catch::Contains("hidden = 256"));
  CHECK_THAT(report.at("ptx").get<std::string>(), Catch::Contains(".target sm_90a"));
  std::set<std::string> labels;
  for (const json& field : report.at("key_fields")) {
    labels.insert(field.at("label"));
    CHECK((field.contains("value") || field.contains("digest")));
  }
  CHECK(labels.count("arch") == 1);
  CHECK(labels.count("source") == 1);
  CHECK(with("--source").out == report.at("source").get<std::string>());
  CHECK(with("--ptx").out == report.at("ptx").get<std::string>());
  const Outcome text = place.run(inspect);
  CHECK_THAT(text.out, Catch::Contains("registers") && Catch::Contains("spills") &&
                           Catch::Contains(report.at("key").get<std::string>()));
  // Inspecting does not change the cache.
  CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
}

TEST_CASE("an op runs on a user's tensors") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  const std::string out = place.directory.file("y.safetensors");
  // Every element is 2 and every weight is 3. The mean square is 4, so y = 2 / sqrt(4) * 3.
  write_safetensors(in, {filled("x", DType::f32, {2, 3, 64}, 2.0F), filled("weight", DType::f32, {64}, 3.0F),
                         filled("unrelated", DType::u8, {4}, std::uint8_t{1})});
  const std::vector<std::string> words = {"run", "norm.rms_norm", "--in",        in,      "--out",
                                          out,   "--set",         "y_dtype=f32", "eps=0", "--json"};
  const Outcome outcome = place.run(words);
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.json().at("ok") == true);
  CHECK(outcome.json().at("rows") == 6);
  CHECK_THAT(outcome.err, Catch::Contains("unrelated"));
  const std::vector<StoredTensor> outputs = kerncast::tools::read_safetensors(out);
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].name == "y");
  CHECK(outputs[0].dtype == DType::f32);
  CHECK(outputs[0].shape == std::vector<std::int64_t>{2, 3, 64});
  CHECK(outputs[0].bytes == filled("y", DType::f32, {2, 3, 64}, 3.0F).bytes);

  write_safetensors(in, {filled("x", DType::bf16, {0, 64}, std::uint16_t{0}),
                         filled("weight", DType::bf16, {64}, std::uint16_t{0x3f80})});
  const Outcome none = place.run({"run", "norm.rms_norm", "--in", in, "--out", out, "--json"});
  INFO(none.err);
  CHECK(none.code == 0);
  CHECK(kerncast::tools::read_safetensors(out).at(0).shape == std::vector<std::int64_t>{0, 64});
}

/// Row `i` of 5 rows of 896 bf16 elements has the value 1, 2, 4, ..., which every format holds exactly.
StoredTensor rows_of_powers() {
  StoredTensor x = filled("x", DType::bf16, {5, 896}, std::uint16_t{0});
  for (std::size_t i = 0; i < x.bytes.size() / 2; ++i) {
    const auto value = static_cast<std::uint16_t>(0x3f80 + 0x80 * (i / 896));
    std::memcpy(x.bytes.data() + 2 * i, &value, 2);
  }
  return x;
}

TEST_CASE("what an op of quant wrote, dequant reads, in every layout and without renaming") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  const StoredTensor x = rows_of_powers();
  const float one = 1.0F;
  write_safetensors(in, {x, filled("global_scale", DType::f32, {1}, one)});
  struct Case {
    std::string op;
    std::vector<std::string> settings;
    std::vector<std::string> back;
  };
  const Case cases[] = {
      {"quant.per_token_group", {}, {}},
      {"quant.per_token_group", {"scale_layout=column_major"}, {"scale_layout=column_major"}},
      {"quant.per_token_group",
       {"scale_layout=column_major_tma_aligned"},
       {"scale_layout=column_major_tma_aligned"}},
      {"quant.per_token_group",
       {"scale_layout=column_major_tma_aligned", "scale_format=packed_ue8m0"},
       {"scale_layout=column_major_tma_aligned", "scale_format=packed_ue8m0"}},
      {"quant.per_token_group", {"group=32", "q_dtype=i8"}, {"group=32"}},
      {"quant.per_token_fp8", {}, {"scheme=per_token"}},
      {"quant.per_token_int8", {}, {"scheme=per_token"}},
      {"quant.per_tensor_fp8", {}, {"scheme=per_tensor"}},
      {"quant.mxfp8", {}, {"scheme=mxfp8"}},
      {"quant.mxfp8", {"sf_layout=swizzled"}, {"scheme=mxfp8", "sf_layout=swizzled"}},
      {"quant.mxfp4", {}, {"scheme=mxfp4"}},
      {"quant.mxfp4", {"sf_layout=swizzled"}, {"scheme=mxfp4", "sf_layout=swizzled"}},
      {"quant.nvfp4", {}, {"scheme=nvfp4"}},
      {"quant.nvfp4", {"sf_layout=swizzled"}, {"scheme=nvfp4", "sf_layout=swizzled"}}};
  const auto words = [](std::vector<std::string> command, const std::vector<std::string>& settings) {
    for (const std::string& setting : settings) {
      command.insert(command.end(), {"--set", setting});
    }
    return command;
  };
  for (const Case& chain : cases) {
    const Outcome quant =
        place.run(words({"run", chain.op, "--in", in, "--out", "q.safetensors"}, chain.settings));
    INFO(chain.op << ' ' << (chain.back.empty() ? "" : chain.back.back()) << ": " << quant.err);
    REQUIRE(quant.code == 0);
    const Outcome back = place.run(words(
        {"run", "quant.dequant", "--in", "q.safetensors", "--in", in, "--out", "y.safetensors"}, chain.back));
    INFO(back.err);
    REQUIRE(back.code == 0);
    const StoredTensor y = kerncast::tools::read_safetensors(place.directory.file("y.safetensors")).at(0);
    CHECK(y.shape == x.shape);
    for (std::size_t i = 0; i < y.bytes.size() / 2; i += 64) {
      std::uint16_t got = 0;
      std::memcpy(&got, y.bytes.data() + 2 * i, 2);
      const int wanted = 0x3f80 + 0x80 * static_cast<int>(i / 896);
      // 1 / 448 is not exact in f32, and the scale of nvfp4 is rounded to e4m3: half of 2^-3, or 8 steps of
      // bf16.
      CHECK(std::abs(got - wanted) <= (chain.op == "quant.nvfp4" ? 8 : 1));
    }
  }
}

/// Gates and ups [3, 5, 2 * 640] of which row `i` of all 15 has the value 2^i.
StoredTensor expert_rows() {
  StoredTensor x = filled("x", DType::bf16, {3, 5, 1280}, std::uint16_t{0});
  for (std::size_t i = 0; i < x.bytes.size() / 2; ++i) {
    const auto value = static_cast<std::uint16_t>(0x3f80 + 0x80 * (i / 1280));
    std::memcpy(x.bytes.data() + 2 * i, &value, 2);
  }
  return x;
}

TEST_CASE("what an op wrote for each expert under a mask, dequant reads") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::vector<std::int32_t> counts = {5, 3, 5};
  StoredTensor mask = filled("masked_m", DType::i32, {3}, std::int32_t{0});
  std::memcpy(mask.bytes.data(), counts.data(), mask.bytes.size());
  const std::string in = place.directory.file("x.safetensors");
  write_safetensors(in, {expert_rows(), mask});
  const std::vector<std::vector<std::string>> layouts = {
      {"scale_layout=row_major", "scale_format=f32"},
      {"scale_layout=column_major", "scale_format=f32"},
      {"scale_layout=column_major_tma_aligned", "scale_format=f32"},
      {"scale_layout=column_major_tma_aligned", "scale_format=packed_ue8m0"}};
  for (const std::vector<std::string>& layout : layouts) {
    const auto run = [&](const char* op, const std::string& from, const char* to) {
      return place.run({"run", op, "--in", from, "--out", to, "--set", layout[0], "--set", layout[1]});
    };
    REQUIRE(run("quant.silu_and_mul_per_token_group", in, "q.safetensors").code == 0);
    const Outcome back = run("quant.dequant", "q.safetensors", "y.safetensors");
    INFO(layout[0] << ' ' << layout[1] << ": " << back.err);
    REQUIRE(back.code == 0);
    const StoredTensor y = kerncast::tools::read_safetensors(place.directory.file("y.safetensors")).at(0);
    REQUIRE(y.shape == std::vector<std::int64_t>{3, 5, 640});
    for (std::size_t row = 0; row < 15; ++row) {
      for (std::size_t column = 0; column < 640; column += 64) {
        std::uint32_t bits = 0;
        std::memcpy(reinterpret_cast<char*>(&bits) + 2, y.bytes.data() + 2 * (row * 640 + column), 2);
        const double x = std::ldexp(1.0, static_cast<int>(row));
        const double wanted = x / (1 + std::exp(-x)) * x;
        // e4m3 keeps 3 bits: half a step is 2^-4 of the value, and bf16 adds 2^-9.
        if (row % 5 < static_cast<std::size_t>(counts[row / 5])) {
          CHECK(std::abs(std::bit_cast<float>(bits) / wanted - 1) <= 0.0625 + 0.002);
        }
      }
    }
  }
}

TEST_CASE("a number for a name that is a flag and a scalar gives both") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  write_safetensors(in, {filled("logits", DType::f32, {2, 8}, 100.0F)});
  for (const char* op : {"moe.topk_softmax"}) {
    for (const char* cap : {"softcap=30", "softcap=0.5", "softcap=0"}) {
      const Outcome outcome =
          place.run({"run", op, "--in", in, "--out", "o", "--set", "top_k=2", "--set", cap, "--json"});
      INFO(cap << ": " << outcome.err);
      CHECK(outcome.code == 0);
      CHECK((outcome.json().at("spec").get<std::string>().find("softcap=true") != std::string::npos) ==
            (std::string(cap) != "softcap=0"));
      CHECK(place.run({"profile", op, "--set", "top_k=2", "experts=8", cap, "--rows", "4"}).code == 0);
    }
  }
}

TEST_CASE("tensors that no op needs may have any dtype and rank, and one that is needed is named") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  write_safetensors(
      in, {filled("x", DType::f32, {2, 64}, 1.0F), filled("mask", DType::u8, {8}, std::uint8_t{1})});
  const std::string whole = place.directory.read("x.safetensors");
  const auto with = [&](const std::string& name, const std::string& from, const std::string& to) {
    std::string text = whole;
    const std::size_t tensor = text.find('"' + name + '"');
    text.replace(text.find(from, tensor), from.size(), to);
    place.directory.write("x.safetensors", text);
    return place.run({"run", "norm.rms_norm", "--in", in, "--out", "y", "--json"});
  };
  const Outcome unused = with("mask", "\"U8\"", "\"Q9\"");
  INFO(unused.err);
  CHECK(unused.code == 0);
  CHECK_THAT(unused.err, Catch::Contains("mask: ignored"));
  const Outcome needed = with("x", "\"F32\"", "\"I16\"");
  CHECK(needed.code == 2);
  CHECK_THAT(needed.err, Catch::Contains("tensor x has the unknown dtype I16"));
}

TEST_CASE("the split of align_block_size follows the rows of a model's run") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_model());
  const Outcome outcome = place.run({"run", "--model", "tiny.json", "--rows", "1025", "--json"});
  INFO(outcome.err);
  CHECK(outcome.code == 0);
}

TEST_CASE("a run says which optional tensors are not there, and writes results alone") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  write_safetensors(in, {filled("x", DType::f32, {2, 64}, 1.0F)});
  const Outcome norm = place.run({"run", "norm.rms_norm", "--in", in, "--out", "y"});
  CHECK(norm.code == 0);
  CHECK_THAT(norm.err,
             Catch::Contains("norm.rms_norm runs without its optional weight, which was not given"));
  write_safetensors(in, {filled("ids", DType::i32, {1025, 4}, 1)});
  const Outcome align =
      place.run({"run", "moe.align_block_size", "--in", in, "--out", "y", "--set", "experts=8", "top_k=4"});
  INFO(align.err);
  CHECK(align.code == 0);
  for (const StoredTensor& tensor : kerncast::tools::read_safetensors(place.directory.file("y"))) {
    CHECK(tensor.name != "workspace");
  }
}

TEST_CASE("Ctrl-C of a run keeps the rows that are done") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const pid_t child = place.start({"run", "--model", "llama-3-8b", "--json"});
  const auto entries = [&] { return place.run({"cache", "stat", "--json"}).json().at("entries").get<int>(); };
  while (entries() < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  REQUIRE(kill(child, SIGINT) == 0);
  const Outcome stopped = place.wait(child);
  CHECK(stopped.code == 130);
  CHECK_FALSE(stopped.json().empty());
  CHECK_THAT(stopped.err, Catch::Contains("runs left"));
}

TEST_CASE("bad tensors get a clear error and the old output stays") {
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  place.directory.write("y.safetensors", "old");
  const StoredTensor x = filled("x", DType::f32, {4, 64}, 1.0F);
  const StoredTensor weight = filled("weight", DType::f32, {64}, 1.0F);
  struct Case {
    std::vector<StoredTensor> tensors;
    std::string setting;
    int code;
    const char* message;
  };
  const Case cases[] = {
      {{weight}, "eps=1e-6", 2, "has no tensor named x"},
      {{x, filled("weight", DType::f32, {63}, 1.0F)}, "eps=1e-6", 2, "weight"},
      {{filled("x", DType::i32, {4, 64}, 1), weight}, "eps=1e-6", 2, "x"},
      {{x, weight}, "hidden=128", 2, "hidden"},
      {{x, weight}, "y_dtype=i64", 2, "y_dtype"},
  };
  for (const Case& bad : cases) {
    write_safetensors(in, bad.tensors);
    const Outcome outcome =
        place.run({"run", "norm.rms_norm", "--in", in, "--out", "y.safetensors", "--set", bad.setting});
    INFO(outcome.err << " should say: " << bad.message);
    CHECK(outcome.code == bad.code);
    CHECK_THAT(outcome.err, Catch::Contains("norm.rms_norm") && Catch::Contains(bad.message));
    CHECK(place.directory.read("y.safetensors") == "old");
  }
  write_safetensors(in, {x, weight});
  const std::string whole = place.directory.read("x.safetensors");
  place.directory.write("x.safetensors", whole.substr(0, whole.size() - 1));
  const Outcome truncated =
      place.run({"run", "norm.rms_norm", "--in", in, "--out", "y.safetensors", "--json"});
  CHECK(truncated.code == 1);
  CHECK_THAT(truncated.json().at("error").at("message").get<std::string>(), Catch::Contains("truncated"));
  CHECK(place.directory.read("y.safetensors") == "old");
}

TEST_CASE("a template that does not compile fails its rows and says where") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  place.directory.write("tiny.json", tiny_dense_model());
  std::filesystem::copy(KERNCAST_TEMPLATES, place.directory.file("templates"),
                        std::filesystem::copy_options::recursive);
  std::ofstream(place.directory.file("templates/norm/rms_norm/kernel.cuh"), std::ios::app)
      << "\nthis is no C++;\n";
  const Outcome outcome = place.run(run_tiny, {{"KERNCAST_TEMPLATE_DIR", place.directory.file("templates")}});
  CHECK(outcome.code == 1);
  CHECK_THAT(outcome.err, Catch::Contains("| this is no C++;") &&
                              Catch::Contains("norm/rms_norm/kernel.cuh:") &&
                              Catch::Contains("--gpu-architecture=sm_") && Catch::Contains("log:") &&
                              Catch::Contains("norm.rms_norm [hidden=256]"));
  std::size_t good = 0;
  for (const json& row : outcome.json()) {
    CHECK(row.at("ok") == (row.at("op") != "norm.rms_norm"));
    good += row.at("ok") == true ? 1 : 0;
  }
  CHECK(good > 0);
}

TEST_CASE("an output that would be lost, or the inputs would be replaced, is refused before anything runs") {
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  write_safetensors(in, {filled("x", DType::f32, {4, 64}, 1.0F), filled("weight", DType::f32, {64}, 1.0F)});
  const std::string inputs = place.directory.read("x.safetensors");
  std::filesystem::create_symlink("x.safetensors", place.directory.file("link"));
  struct Case {
    const char* out;
    int code;
    const char* message;
  };
  const Case cases[] = {{"x.safetensors", 2, "the inputs would be replaced"},
                        {"./link", 2, "the inputs would be replaced"},
                        {"no/such/y", 1, "cannot write no/such/y"},
                        {".", 1, "a directory"}};
  for (const Case& bad : cases) {
    const Outcome outcome = place.run({"run", "norm.rms_norm", "--in", in, "--out", bad.out});
    INFO(bad.out << ": " << outcome.err);
    CHECK(outcome.code == bad.code);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::Contains(bad.message));
    CHECK(place.directory.read("x.safetensors") == inputs);
    CHECK(place.run({"cache", "stat", "--json"}).json().at("entries") == 0);
  }
}

TEST_CASE("data goes to standard output or a device, and the report then to standard error") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const std::string in = place.directory.file("x.safetensors");
  write_safetensors(in, {filled("x", DType::f32, {4, 64}, 1.0F), filled("weight", DType::f32, {64}, 1.0F)});
  for (const char* name : {"-", "/dev/stdout"}) {
    const Outcome run = place.run({"run", "norm.rms_norm", "--in", in, "--out", name});
    INFO(run.err);
    CHECK(run.code == 0);
    REQUIRE(kerncast::tools::parse_safetensors(run.out, name).size() == 1);
    CHECK_THAT(run.err, Catch::Contains("written to"));
    const Outcome extract = place.run({"inspect", "norm.rms_norm", "--set", "hidden=64", "--extract", name});
    CHECK(extract.code == 0);
    CHECK(extract.out.substr(1, 3) == "ELF");
    const Outcome page =
        place.run({"profile", "norm.rms_norm", "--set", "hidden=64", "--rows", "1", "--html", name});
    CHECK(page.code == 0);
    CHECK_THAT(page.out, Catch::StartsWith("<!") && Catch::EndsWith("</html>\n"));
    const Outcome both = place.run({"run", "norm.rms_norm", "--in", in, "--out", name, "--json"});
    CHECK(both.code == 2);
    CHECK_THAT(both.json().at("error").at("message").get<std::string>(), Catch::Contains("name a file"));
  }
  CHECK(place.run({"run", "norm.rms_norm", "--in", in, "--out", "/dev/null"}).code == 0);
  const Outcome full = place.run({"run", "norm.rms_norm", "--in", in, "--out", "/dev/full"});
  CHECK(full.code == 1);
  CHECK_THAT(full.err, Catch::Contains("cannot write /dev/full"));
}

TEST_CASE("texts of inspect are told apart, and an extracted cubin does not hide what else is asked for") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const auto inspect = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"inspect", "norm.rms_norm", "--set", "hidden=64"});
    return place.run(more);
  };
  const std::string source = inspect({"--source"}).out;
  const std::string ptx = inspect({"--ptx"}).out;
  CHECK(inspect({"--source", "--ptx"}).out ==
        "// ======== source ========\n" + source + "// ======== PTX ========\n" + ptx);
  CHECK(inspect({"--extract", "a.cubin", "--ptx"}).out == ptx);
  CHECK(inspect({"--extract", "b.cubin", "--json"}).json().at("ptx") == ptx);
  CHECK(place.directory.read("a.cubin") == place.directory.read("b.cubin"));
  CHECK(inspect({"--extract", "c.cubin"}).out.empty());
}

TEST_CASE("a miss without a compiler names what to install") {
  const CommandPlace place;
  const std::vector<std::string> warm = {"warm",   "norm.rms_norm", "--set",  "hidden=64",
                                         "--arch", "sm_90a",        "--rows", "1"};
  for (const char* choice : {"/no/such/libnvrtc.so.13", "/proc"}) {
    const Outcome outcome = place.run(warm, {{"KERNCAST_NVRTC", choice}});
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK_THAT(outcome.err, Catch::Contains("norm.rms_norm [hidden=64] for sm_90a is not in the cache") &&
                                Catch::Contains(choice) && Catch::Contains("install NVRTC"));
  }
}

TEST_CASE("an architecture beyond the compiler is answered with those it knows") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  const json known = place.run({"doctor", "--json"}).json().at("nvrtc").at("archs");
  REQUIRE_FALSE(known.empty());
  const Outcome outcome =
      place.run({"warm", "norm.rms_norm", "--set", "hidden=64", "--arch", "sm_999", "--rows", "1"});
  CHECK(outcome.code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("does not compile for sm_999"));
  for (const json& arch : known) {
    CHECK_THAT(outcome.err, Catch::Contains("sm_" + std::to_string(arch.get<int>())));
  }
}

TEST_CASE("every architecture that the compiler knows is compiled for") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace place;
  std::string archs;
  std::size_t count = 0;
  const json known = place.run({"doctor", "--json"}).json().at("nvrtc").at("archs");
  for (const json& arch : known) {
    const int sm = arch.get<int>();
    if (sm >= 75) {
      archs += (count++ == 0 ? "sm_" : ",sm_") + std::to_string(sm) + (sm >= 90 ? "a" : "");
    }
  }
  const Outcome outcome = place.run({"warm", "quant.per_token_group", "--set", "hidden=128",
                                     "scale_format=ue8m0", "--arch", archs, "--rows", "1", "--json"});
  INFO(archs << ": " << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(count > 0);
  CHECK(outcome.events("kernel").size() == count);
}

TEST_CASE("processes that ask for one kernel at once compile it once") {
  if (!has_nvrtc()) {
    return;
  }
  const CommandPlace shared;
  std::vector<Outcome> outcomes(4);
  std::vector<std::thread> threads;
  for (Outcome& outcome : outcomes) {
    threads.emplace_back([&] {
      const CommandPlace place;
      outcome = place.run(
          {"warm", "norm.rms_norm", "--set", "hidden=1024", "--arch", "sm_90a", "--rows", "1", "--json"},
          {{"KERNCAST_CACHE_DIR", shared.directory.file("cache")}});
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  int compiled = 0;
  for (const Outcome& outcome : outcomes) {
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    REQUIRE(outcome.events("kernel").size() == 1);
    compiled += outcome.events("kernel").at(0).at("cached") == false ? 1 : 0;
  }
  CHECK(compiled == 1);
  CHECK(shared.run({"cache", "stat", "--json"}).json().at("entries") == 1);
}

}  // namespace
