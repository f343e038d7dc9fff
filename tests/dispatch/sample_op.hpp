#pragma once

#include "kerncast/op_definition.hpp"

/// A host's own small op. Its definition suffices for tests that do not launch.
inline kerncast::OpDefinition sample_op() {
  using namespace kerncast;
  OpDefinition op;
  op.name = "test.scale";
  op.include = "test/scale.cuh";
  op.kernel = "test::scale";
  op.arguments_type = "test::Arguments";
  ParamSpec type;
  type.name = "x_dtype";
  type.kind = ParamKind::dtype;
  type.allowed = {static_cast<int>(DType::bf16), static_cast<int>(DType::f16)};
  ParamSpec hidden;
  hidden.name = "hidden";
  hidden.kind = ParamKind::integer;
  hidden.minimum = 8;
  hidden.maximum = 1000;
  hidden.multiple_of = 8;
  ParamSpec group;
  group.name = "group";
  group.kind = ParamKind::integer;
  group.allowed = {16, 32, 64, 128};
  group.default_value = 128;
  ParamSpec layout;
  layout.name = "layout";
  layout.kind = ParamKind::choice;
  layout.choices = {"row_major", "column_major"};
  layout.default_value = 0;
  ParamSpec flag;
  flag.name = "flag";
  flag.kind = ParamKind::boolean;
  flag.default_value = 0;
  op.params = {type, hidden, group, layout, flag};
  op.tunables = {{"threads", "threads per block", {128, 256}}};
  op.default_tunables = [](const Specialisation&, const DeviceTraits&, std::int64_t rows) {
    return Tunables{{rows > 64 ? 256 : 128}};
  };
  op.geometry = [](const Specialisation&, const Tunables&, const DeviceTraits&, std::int64_t) noexcept {
    return LaunchGeometry{};
  };
  op.bind = [](const Bindings&) { return Call{}; };
  return op;
}
