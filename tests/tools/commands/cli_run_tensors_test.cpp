#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "tests/tools/commands/command_process.hpp"
#include "tools/io/safetensors.hpp"

namespace {

using kerncast::DType;
using kerncast::tools::StoredTensor;
using kerncast::tools::write_safetensors;

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

}  // namespace
