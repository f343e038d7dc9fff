#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "kerncast/fixed_name.hpp"
#include "kerncast/launch.hpp"
#include "templates/host/checks.hpp"
#include "templates/host/enumerator_name.hpp"
#include "templates/host/named_arguments.hpp"
#include "templates/host/params.hpp"
#include "templates/host/typed_op.hpp"
#include "tests/templates/definition_checks.hpp"

using namespace kerncast;
using namespace kerncast::test;
using Catch::Contains;

namespace {

enum Param : std::size_t { x_dtype, width, alignment, doubled };
enum Tunable : std::size_t { threads };

static_assert(host::enumerator_name<width>() == "width");
static_assert(host::enumerator_name<threads>() == "threads");
static_assert(host::round_up(0, 4) == 0 && host::round_up(5, 4) == 8 && host::round_up(8, 4) == 8);

template <FixedName Name>
struct TwiceArguments {
  static constexpr std::string_view op_name = Name;

  TensorView x;
  TensorView bias = {};
  TensorView y;
  float eps = 1e-6F;
  float factor = 1.702F;
  double offset = -2.5;
  bool doubled = false;
  int copies = 3;
};

using Twice = TwiceArguments<"toolkit.twice">;

Call bind(const Twice& arguments) {
  Call call;
  call.spec.values[x_dtype] = host::to_param(arguments.x.dtype);
  call.spec.values[width] = static_cast<std::int32_t>(arguments.x.dim(-1));
  call.spec.values[alignment] = 16;
  call.spec.values[doubled] = arguments.doubled ? 1 : 0;
  call.rows = arguments.copies;
  call.set_arguments(arguments.eps);
  return call;
}

void describe(host::NamedArguments& named, Twice& call) {
  named.input("x", call.x, "rows");
  named.optional_input("bias", call.bias, "a vector");
  named.output("y", call.y, "shape of x");
  named.scalar("eps", call.eps, "small");
  named.scalar("factor", call.factor, "multiplies");
  named.scalar("offset", call.offset, "is added");
  named.setting("doubled", call.doubled);
}

OpDefinition definition() {
  OpDefinition op = host::define<Twice, describe>();
  op.params = host::params(
      host::param<x_dtype>(host::dtype_param({DType::bf16, DType::f32}, DType::bf16, "element type of x")),
      host::param<width>(host::integer_param(1, 1024, std::nullopt, "elements of a row")),
      host::param<alignment>(host::listed_param({4, 8, 16}, 16, "bytes per access")));
  host::append(op.params, host::param<doubled>(host::flag_param(false, "twice the result")));
  op.tunables = host::tunables(host::tunable<threads>("threads of a block", {128, 256}));
  op.validate = [](const Specialisation& spec) {
    host::validate_alignment(Twice::op_name, spec[alignment], spec[width],
                             host::dtype_from_param(spec[x_dtype]));
  };
  op.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t) {
    return Tunables{{128}};
  };
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
    return LaunchGeometry{};
  };
  return op;
}

/// The definition that the registry holds.
const OpDefinition& registered() {
  static const OpDefinition& op = OpRegistry::instance().add(definition());
  return op;
}

Bindings bindings_of(float* memory) {
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::f32, {2, 8}));
  bindings.set_tensor("y", TensorView::contiguous(memory, DType::f32, {2, 8}));
  return bindings;
}

}  // namespace

TEST_CASE("Parameters and tunables take name and place from their enumerators") {
  const OpDefinition op = definition();
  std::vector<std::string> names;
  for (const ParamSpec& param : op.params) {
    names.push_back(param.name);
  }
  CHECK(names == std::vector<std::string>{"x_dtype", "width", "alignment", "doubled"});
  CHECK(op.tunables.at(0).name == "threads");
  std::vector<ParamSpec> too_short;
  CHECK_THAT(message_of([&] {
               host::append(too_short, host::param<doubled>(host::flag_param(false, "twice the result")));
             }),
             Contains("doubled is number 3") && Contains("number 0"));
}

TEST_CASE("Template, kernel and argument struct follow from the name of an op") {
  OpDefinition op;
  op.name = "norm.rms_norm2_quant";
  TemplateNames names = template_names(op);
  CHECK(names.include == "norm/rms_norm2_quant/kernel.cuh");
  CHECK(names.kernel == "kerncast::norm::rms_norm2_quant_kernel");
  CHECK(names.arguments_type == "kerncast::norm::RmsNorm2QuantKernelArgs");
  op.include = "own/three.cuh";
  op.kernel = "own::three";
  op.arguments_type = "own::Arguments";
  names = template_names(op);
  CHECK(names.include == "own/three.cuh");
  CHECK(names.kernel == "own::three");
  CHECK(names.arguments_type == "own::Arguments");
  CHECK(registered().include == "toolkit/twice/kernel.cuh");
}

TEST_CASE("Tensors and scalars of a definition follow from the argument struct") {
  const OpDefinition op = definition();
  CHECK(op.name == "toolkit.twice");
  REQUIRE(op.tensors.size() == 3);
  CHECK(op.tensors[0].name == "x");
  CHECK(op.tensors[0].direction == Direction::in);
  CHECK_FALSE(op.tensors[0].optional);
  CHECK(op.tensors[1].optional);
  CHECK(op.tensors[2].direction == Direction::out);
  CHECK(op.tensors[2].doc == "shape of x");
  REQUIRE(op.scalars.size() == 3);
  CHECK(op.scalars[0].default_value == 1e-6);
  CHECK(op.scalars[1].default_value == 1.702);
  CHECK(op.scalars[2].default_value == -2.5);
}

TEST_CASE("A call by name sets what is named and keeps the other defaults") {
  float memory[16] = {};
  const OpDefinition& op = registered();
  CHECK(&definition_of<Twice>() == &op);
  Bindings bindings = bindings_of(memory);
  Call call = op.bind(bindings);
  CHECK(format_specialisation(op, call.spec) == "x_dtype=f32 width=8");
  CHECK(call.rows == 3);
  float eps = 0;
  std::memcpy(&eps, call.arguments.data(), sizeof eps);
  CHECK(eps == 1e-6F);

  bindings.set_scalar("eps", 0.5);
  bindings.set_param("doubled", "true");
  bindings.set_param("alignment", "8");
  call = op.bind(bindings);
  CHECK(format_specialisation(op, call.spec) == "x_dtype=f32 width=8 alignment=8 doubled=true");
  std::memcpy(&eps, call.arguments.data(), sizeof eps);
  CHECK(eps == 0.5F);
}

TEST_CASE("A call by name refuses what is missing or does not agree") {
  float memory[16] = {};
  const OpDefinition& op = registered();
  Bindings bindings;
  bindings.set_tensor("x", TensorView::contiguous(memory, DType::f32, {2, 8}));
  CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings)); }),
             Contains("toolkit.twice") && Contains("'y'"));
  bindings = bindings_of(memory);
  bindings.set_param("width", "4");
  CHECK_THAT(message_of([&] { static_cast<void>(op.bind(bindings)); }), Contains("width"));
  CHECK_THAT(message_of([&] { static_cast<void>(host::required_param(op, bindings_of(memory), "width")); }),
             Contains("parameter width is required; give it as width=VALUE"));
  CHECK_THAT(message_of([&] { host::validate_alignment("toolkit.twice", 8, 3, DType::f32); }),
             Contains("alignment = 8") && Contains("widest valid: 4"));
}
