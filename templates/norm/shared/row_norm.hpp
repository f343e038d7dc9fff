#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "templates/host/broadcast.hpp"
#include "templates/host/checks.hpp"
#include "templates/host/overlap.hpp"
#include "templates/host/row_blocks.hpp"
#include "templates/host/typed_op.hpp"
#include "templates/norm/shared/row_params.hpp"

/// The host side that the norms of whole rows share: parameters, checks, geometry, plans, the models' widths.
namespace kerncast::norm {

inline constexpr std::int64_t max_hidden = 65536;

/// The most of a tensor beside x that a thread may access at once if that tensor's elements are wider than
/// x's.
enum class AccessLimit : std::uint8_t {
  several_16_byte,  ///< as many elements as of x, in several accesses of 16 bytes
  one_16_byte,      ///< no more elements than one access of 16 bytes has
};

/// Checks the tensors of one call against x, and gathers what the call's specialisation needs.
class NormChecks {
 public:
  /// x: rows of floats.
  NormChecks(std::string_view op, const TensorView& x) : op_(op), x_(&x), x_bytes_(size_of(x.dtype)) {
    host::require_float(op, "x", x);
    rows_ = host::contiguous_rows(op, "x", x);
    const std::int64_t width = x.dim(-1);
    if (width < 1 || width > max_hidden) [[unlikely]] {
      host::refuse_range(op, "the last dimension of x (hidden)", width, 1, max_hidden);
    }
    host::require_data(op, "x", x, rows_.count);
    alignment_ = std::min(host::alignment_of(static_cast<std::uint64_t>(width * x_bytes_)),
                          host::aligned_access_bytes(op, "x", x, rows_, x_bytes_));
  }

  /// A float tensor of x's shape that is read. Returns its row stride.
  std::int64_t input(std::string_view name, const TensorView& view,
                     AccessLimit limit = AccessLimit::one_16_byte);
  /// A float tensor of x's shape that is written: its rows must not overlap. Returns its row stride.
  std::int64_t output(std::string_view name, const TensorView& view,
                      AccessLimit limit = AccessLimit::one_16_byte);
  /// A tensor of x's shape and any dtype that is written. Returns its row stride.
  std::int64_t output_of_any_type(std::string_view name, const TensorView& view);
  /// A u8 tensor of x's rows that is written, two elements to a byte. Returns its row stride.
  std::int64_t output_of_halves(std::string_view name, const TensorView& view);
  /// A float vector of x's width. An absent one is fine.
  void vector(std::string_view name, const TensorView& view);
  /// weight and bias, each of which may be absent. Returns their dtype, or x's if both are absent.
  DType affine(const TensorView& weight, const TensorView& bias);
  /// An operand of dtype `type` that is spread over the rows.
  host::BroadcastOperand broadcast(std::string_view name, const TensorView& view, DType type);

  [[nodiscard]] const TensorView& x() const { return *x_; }
  [[nodiscard]] std::int64_t count() const { return rows_.count; }
  [[nodiscard]] std::int64_t stride() const { return rows_.stride; }
  [[nodiscard]] std::int64_t width() const { return x_->dim(-1); }

  /// A call over these tensors with the parameters of row_params filled in.
  [[nodiscard]] Call call(DType y_type) const;

 private:
  void add(std::string_view name, const TensorView& view, const host::Rows& rows, AccessLimit limit);

  std::string_view op_;
  const TensorView* x_;
  std::int64_t x_bytes_;
  host::Rows rows_;
  std::int32_t alignment_ = 16;
};

/// Refuses an eps that is negative or not finite.
void require_eps(std::string_view op, float eps);

/// Refuses an offset if there is no weight that it could be added to.
void require_offset(std::string_view op, const TensorView& weight, float offset);

/// Refuses an alignment below an element of x, one that does not divide a row, and one that gives more
/// elements of x than 16 bytes hold of a tensor whose dtype is one of the parameters `beside`.
void validate_rows(std::string_view op, const Specialisation& spec,
                   std::initializer_list<std::size_t> beside = {});

using host::RowCost;

/// Vectors of a row that a thread takes if there are many rows.
[[nodiscard]] std::int64_t default_row_vectors(const Specialisation& spec);
/// Threads that share a row, of which each takes `taken` vectors if there are many rows.
[[nodiscard]] std::int32_t row_lanes(const Specialisation& spec, const DeviceTraits& device,
                                     std::int64_t rows, std::int64_t taken, const RowCost& cost);
/// Tunables under which `lanes` threads share a row.
[[nodiscard]] Tunables row_tunables(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes);
/// Tunables of a kernel whose rows cost `cost`.
[[nodiscard]] Tunables row_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows,
                                    const RowCost& cost);
/// The reason why the tunables of row_params do not go together in a kernel that sums up rows in the order of
/// templates/device/row_sum.cuh, with spans of 16 bytes of a dtype of `widest` bytes; empty if they do.
[[nodiscard]] std::string row_sum_defect(const Specialisation& spec, const Tunables& tunables,
                                         std::int64_t widest);
/// Bytes of the widest of the dtypes that the parameters `Types` name.
template <std::size_t... Types>
[[nodiscard]] std::int32_t widest_of(const Specialisation& spec) {
  return static_cast<std::int32_t>(std::max({size_of(host::dtype_from_param(spec[Types]))...}));
}
/// OpDefinition::tunables_defect of a kernel whose spans hold 16 bytes of the widest of the dtypes that the
/// parameters `Types` name.
template <std::size_t... Types>
[[nodiscard]] std::string row_tunables_defect(const Specialisation& spec, const Tunables& tunables,
                                              const DeviceTraits&) {
  return row_sum_defect(spec, tunables, widest_of<Types...>(spec));
}
LaunchGeometry row_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                            std::int64_t rows) noexcept;

/// Descriptions of the tensors and scalars that most norms have.
inline constexpr const char* x_doc = "[..., hidden], x_dtype; rows may be strided";
inline constexpr const char* weight_doc = "[hidden], weight_dtype";
inline constexpr const char* bias_doc = "[hidden], weight_dtype";
inline constexpr const char* y_doc = "shape of x, y_dtype; rows may be strided; may be x itself";
inline constexpr const char* residual_doc =
    "shape of x, residual_dtype; x + residual on return; rows may be strided";
inline constexpr const char* eps_doc = "added to the mean square; not negative";
inline constexpr const char* weight_offset_doc = "added to the weight (1: Gemma)";

/// A parameter that is bf16, f16 or f32; bf16 by default.
[[nodiscard]] ParamSpec float_dtype_param(const char* doc);
/// The flag round_residual, off by default.
[[nodiscard]] ParamSpec round_residual_param();

/// Adds the parameters of row_params, the tunables, their defaults and the geometry, and the constraint of
/// kernels whose rows are those of x and y. Kernels whose spans follow from other tensors set their own.
void add_row_params(OpDefinition& op);

/// Makes the plans of the inputs of a synthetic call.
class InputPlans {
 public:
  InputPlans(const OpDefinition& op, const Bindings& bindings, std::int64_t rows);

  /// A tensor of x's shape whose dtype is the parameter `type`, or x's.
  InputPlans& rows(std::string name, std::string_view type = "x_dtype");
  /// A vector of x's width in weight_dtype, if the flag `wanted` is set.
  InputPlans& vector(std::string name, std::string_view wanted);
  /// An operand in modulation_dtype that is spread over the rows in the form of the parameter `form`.
  InputPlans& broadcast(std::string name, std::string_view form);

  [[nodiscard]] std::vector<TensorPlan> take() { return std::move(plans_); }

 private:
  [[nodiscard]] DType type_of(std::string_view param) const;

  const OpDefinition& op_;
  const Bindings& bindings_;
  std::int64_t rows_;
  std::int64_t width_;
  std::vector<TensorPlan> plans_;
};

/// The plan of y: x's shape in y_dtype, or in x's dtype.
[[nodiscard]] TensorPlan plan_y(const OpDefinition& op, const Bindings& bindings);

/// The definition of a norm of whole rows that reads x and writes y: everything but its texts, its model
/// cases and what it adds to row_params and to the inputs.
template <TypedCall Arguments, host::Describe<Arguments> describe, host::Generalise generalise = nullptr>
[[nodiscard]] OpDefinition define_row_norm() {
  OpDefinition op = host::define<Arguments, describe, generalise>();
  add_row_params(op);
  op.validate = [](const Specialisation& spec) { validate_rows(Arguments::op_name, spec); };
  op.plan_inputs = [](const Bindings& bindings, std::int64_t rows) {
    return InputPlans(definition_of<Arguments>(), bindings, rows).rows("x").take();
  };
  op.plan_outputs = [](const Bindings& bindings) {
    return std::vector{plan_y(definition_of<Arguments>(), bindings)};
  };
  return op;
}

/// Adds a case of `model` at rows of `width` elements in the model's dtype, unless no op takes that width.
void add_row_case(std::vector<ModelCase>& cases, const ModelConfig& model, std::string label,
                  std::int64_t width);
/// Adds the case of a norm with a weight, which has the model's dtype too.
void add_weighted_row_case(std::vector<ModelCase>& cases, const ModelConfig& model, std::string label,
                           std::int64_t width);
/// Adds the case of an RMS norm of `model`, with its weight and what is added to it.
void add_rms_case(std::vector<ModelCase>& cases, const ModelConfig& model, const ModelNorm& norm);
/// The l2 norms of `model`.
[[nodiscard]] std::vector<ModelCase> l2_cases(const ModelConfig& model);

}  // namespace kerncast::norm
