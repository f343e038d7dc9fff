#include "templates/host/broadcast.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "templates/host/checks.hpp"

namespace kerncast::host {

BroadcastOperand broadcast(std::string_view op, std::string_view name, const TensorView& view,
                           std::int64_t rows, std::int64_t width, std::int64_t main_bytes, int device) {
  BroadcastOperand made;
  if (view.absent()) {
    return made;
  }
  require_float(op, name, view);
  const Rows own = contiguous_rows(op, name, view);
  const bool one = own.count == 1 && view.dim(-1) == 1;
  if (!one && (view.dim(-1) != width || own.count < 1 || rows % own.count != 0)) [[unlikely]] {
    refuse_shape(op, name, view,
                 fmt::format("one element, or rows of {} elements whose number divides the {} rows of x (one "
                             "for all, or for each batch, frame or token)",
                             width, rows));
  }
  require_data(op, name, view, rows);
  require_device(op, name, view, "x", device);
  made.access = aligned_access_bytes(op, name, view, own, main_bytes);
  if (one && width != 1) {
    made.form = BroadcastForm::scalar;
    made.access = 16;
  } else if (own.count == 1) {
    made.form = BroadcastForm::shared;
  } else {
    made.form = own.count == rows ? BroadcastForm::token : BroadcastForm::grouped;
  }
  const std::int64_t group = rows > 0 ? rows / own.count : 1;
  made.argument = {view.data, own.count > 1 ? own.stride : 0, group,
                   std::numeric_limits<std::uint64_t>::max() / static_cast<std::uint64_t>(group)};
  return made;
}

ParamSpec broadcast_param(std::string_view operand) {
  ParamSpec param = choice_param(
      {"none", "scalar", "shared", "grouped", "token"},
      fmt::format("{}: absent, [1], [1, hidden], [N, hidden] for N dividing the rows, or a row for each; "
                  "derived from its shape",
                  operand));
  param.default_value = static_cast<std::int32_t>(BroadcastForm::shared);
  return param;
}

void apply_form(const OpDefinition& op, Call& call, const Bindings& bindings, std::size_t index) {
  const std::optional<std::int32_t> wanted = setting(op, bindings, op.params.at(index).name);
  if (!wanted) {
    return;
  }
  const auto form = static_cast<BroadcastForm>(*wanted);
  const auto derived = static_cast<BroadcastForm>(call.spec[index]);
  const bool grouped =
      form == BroadcastForm::grouped && (derived == BroadcastForm::shared || derived == BroadcastForm::token);
  const bool token = form == BroadcastForm::token && derived == BroadcastForm::shared && call.rows <= 1;
  if (grouped || token) {
    call.spec.values[index] = *wanted;
  }
}

void plan_broadcast(std::vector<TensorPlan>& plans, const OpDefinition& op, const Bindings& bindings,
                    std::string name, std::string_view param, DType type, std::int64_t rows,
                    std::int64_t width) {
  const auto form = static_cast<BroadcastForm>(
      setting(op, bindings, param).value_or(static_cast<std::int32_t>(BroadcastForm::shared)));
  TensorPlan plan;
  plan.name = std::move(name);
  plan.dtype = type;
  switch (form) {
    case BroadcastForm::none:
      return;
    case BroadcastForm::scalar:
      plan.shape = {1};
      break;
    case BroadcastForm::shared:
      plan.shape = {1, width};
      break;
    case BroadcastForm::grouped:
      plan.shape = {rows > 0 && rows % 2 == 0 ? 2 : 1, width};
      break;
    case BroadcastForm::token:
      plan.shape = {std::max<std::int64_t>(1, rows), width};
      break;
  }
  plans.push_back(std::move(plan));
}

}  // namespace kerncast::host
