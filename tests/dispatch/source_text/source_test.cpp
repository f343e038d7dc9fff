#include "runtime/dispatch/source_text/source.hpp"

#include <catch2/catch.hpp>

#include "tests/dispatch/sample_op.hpp"

using namespace kerncast;

TEST_CASE("the generated unit is one include, one configuration, one instantiation") {
  const OpDefinition op = sample_op();
  const Specialisation spec = specialise(op, {{"x_dtype", "bf16"}, {"hidden", "64"}, {"flag", "true"}});
  const GeneratedSource source = generate_source(op, spec, Tunables{{256}});
  CHECK(source.kernels == std::vector<std::string>{"test::scale<Config>"});
  CHECK(source.text ==
        "#include \"test/scale.cuh\"\n\nstruct Config {\n  using x_dtype = ::kerncast::bf16;\n"
        "  static constexpr bool flag = true;\n"
        "  enum : int {\n    hidden = 64,\n    group = 128,\n    layout = 0,  // row_major\n"
        "    threads = 256,\n  };\n};\n\n"
        "template __global__ void test::scale<Config>(test::Arguments);\n");
}

TEST_CASE("the closure holds exactly what a template can include, and names what is missing") {
  const TemplateSet templates("");
  const TemplateSet::Files own{
      {"a.cuh", "#pragma once\n#include \"b.cuh\"\n  #  include \"c/d.cuh\"\n// #include \"not/this.cuh\"\n"},
      {"b.cuh", "#include \"c/d.cuh\"\n#include <ignored>\n"},
      {"c/d.cuh", "#include \"a.cuh\"\n"},
      {"e.cuh", "#include \"absent.cuh\"\n"}};
  const auto closure = templates.closure("a.cuh", own);
  REQUIRE(closure.size() == 3);
  CHECK(closure[0].first == "a.cuh");
  CHECK(closure[1].first == "b.cuh");
  CHECK(closure[2].first == "c/d.cuh");
  CHECK_THROWS_WITH(templates.closure("e.cuh", own),
                    Catch::Contains("absent.cuh") && Catch::Contains("included by e.cuh"));
  CHECK_THROWS_WITH(TemplateSet("/nonexistent").closure("a.cuh"), Catch::Contains("KERNCAST_TEMPLATE_DIR"));
}

TEST_CASE("each field of the key is labelled and every input is among them") {
  const GeneratedSource source{"text", {"k<Config>"}};
  const auto fields =
      key_fields(source, {{"a.cuh", "A"}}, compile_options("sm_90a"), "sm_90a", "13.0").fields();
  std::vector<std::string> labels;
  for (const auto& [label, value] : fields) {
    labels.push_back(label);
    CHECK(value.find('/') == std::string::npos);
  }
  CHECK(labels == std::vector<std::string>{"source", "kernel", "header:a.cuh", "options", "arch", "nvrtc"});
}
