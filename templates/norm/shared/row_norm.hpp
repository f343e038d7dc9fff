#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerncast/op.hpp"
#include "templates/host/access.hpp"
#include "templates/host/broadcast.hpp"
#include "templates/host/checks.hpp"
#include "templates/host/row_blocks.hpp"
#include "templates/norm/shared/row_params.hpp"

/// What the norms of whole rows share on the host: parameters, checks, geometry, plans, the models' widths.
namespace kerncast::norm {

inline constexpr std::int64_t max_hidden = 65536;

/// How wide an access to x may be where a tensor beside it has wider elements.
enum class Beside : std::uint8_t {
  wide,    ///< more than one access of 16 bytes to that tensor will do
  narrow,  ///< as many elements of x as that tensor has in 16 bytes
};

/// Checks the tensors of one call against x, and gathers what its specialisation needs.
class RowTensors {
 public:
  /// x: rows of floats.
  RowTensors(std::string_view op, const TensorView& x) : op_(op), x_(&x), x_bytes_(size_of(x.dtype)) {
    host::require_float(op, "x", x);
    rows_ = host::contiguous_rows(op, "x", x);
    const std::int64_t width = x.dim(-1);
    if (width < 1 || width > max_hidden) [[unlikely]] {
      host::refuse_range(op, "the last dimension of x (hidden)", width, 1, max_hidden);
    }
    host::require_data(op, "x", x, rows_.count);
    alignment_ = std::min(host::alignment_of(static_cast<std::uint64_t>(width * x_bytes_)),
                          host::access_limit(op, "x", x, rows_, x_bytes_));
  }

  /// A tensor of x's shape; returns its row stride.
  std::int64_t input(std::string_view name, const TensorView& view, Beside beside = Beside::narrow);
  /// The same for one that is written.
  std::int64_t output(std::string_view name, const TensorView& view, Beside beside = Beside::narrow);
  /// The same for one of any type.
  std::int64_t output_of_any_type(std::string_view name, const TensorView& view);
  /// A vector of x's width; nothing where it is absent.
  void vector(std::string_view name, const TensorView& view);
  /// weight and bias, each of which may be absent; returns their type, or x's.
  DType affine(const TensorView& weight, const TensorView& bias);
  /// An operand of type `type` that is spread over the rows.
  host::BroadcastOperand broadcast(std::string_view name, const TensorView& view, DType type);

  [[nodiscard]] const TensorView& x() const { return *x_; }
  [[nodiscard]] std::int64_t count() const { return rows_.count; }
  [[nodiscard]] std::int64_t stride() const { return rows_.stride; }
  [[nodiscard]] std::int64_t width() const { return x_->dim(-1); }

  /// A call over these tensors with the parameters of row_params filled in.
  [[nodiscard]] Call call(DType weight_type, DType y_type) const;

 private:
  void add(std::string_view name, const TensorView& view, const host::Rows& rows, Beside beside);

  std::string_view op_;
  const TensorView* x_;
  std::int64_t x_bytes_;
  host::Rows rows_;
  std::int32_t alignment_ = 16;
};

/// eps must be finite and not negative.
void require_eps(std::string_view op, float eps);

/// An offset needs a weight to be added to.
void require_offset(std::string_view op, const TensorView& weight, float offset);

/// Refuses two tensors that start at the same address.
void require_apart(std::string_view op, std::string_view name, const TensorView& view, std::string_view other,
                   const TensorView& than);

/// The alignment must be an element of x at least and divide a row.
void validate_rows(std::string_view op, const Specialisation& spec);

using host::RowCost;

/// Vectors of a row that a thread takes where there are many rows.
[[nodiscard]] std::int64_t default_row_vectors(const Specialisation& spec);
/// Threads that share a row, of which each takes `taken` vectors where there are many rows.
[[nodiscard]] std::int32_t row_lanes(const Specialisation& spec, const DeviceTraits& device,
                                     std::int64_t rows, std::int64_t taken, const RowCost& cost);
/// Tunables under which `lanes` threads share a row.
[[nodiscard]] Tunables row_tunables(const DeviceTraits& device, std::int64_t rows, std::int32_t lanes);
[[nodiscard]] Tunables row_tunables(const Specialisation& spec, const DeviceTraits& device, std::int64_t rows,
                                    const RowCost& cost);
LaunchGeometry row_geometry(const Specialisation& spec, const Tunables& tunables, const DeviceTraits& device,
                            std::int64_t rows) noexcept;

/// Descriptions of the tensors and scalars that most norms have.
inline constexpr const char* x_doc = "[..., hidden], x_dtype; rows may be strided";
inline constexpr const char* weight_doc = "[hidden], weight_dtype";
inline constexpr const char* y_doc = "shape of x, y_dtype; rows may be strided; may be x itself";
inline constexpr const char* eps_doc = "added to the mean square; not negative";
inline constexpr const char* weight_offset_doc = "added to the weight (1: Gemma)";

/// Adds the parameters of row_params, the tunables and the geometry.
void add_row_params(OpDefinition& op);

/// A definition with the parameters of row_params, x, eps, tunables and geometry.
[[nodiscard]] OpDefinition row_norm_definition(std::string_view name);

/// A tensor that a norm takes beside x, and the parameter that is its element type.
struct SecondTensor {
  TensorSpec tensor;
  ParamSpec dtype;
};

/// What the root-mean-square norms that give y share beyond row_norm_definition: weight, hf_rounding and y.
[[nodiscard]] OpDefinition rms_definition(std::string_view name,
                                          const std::optional<SecondTensor>& second = {});

/// Descriptions that several norms give to OpDefinition.
[[nodiscard]] TensorSpec residual_spec();
[[nodiscard]] TensorSpec weight_spec();
[[nodiscard]] TensorSpec y_spec();
[[nodiscard]] ScalarSpec weight_offset_spec();
[[nodiscard]] ParamSpec has_weight_param();
[[nodiscard]] ParamSpec hf_rounding_param();
[[nodiscard]] ParamSpec residual_dtype_param();

/// Ends a bind: takes the narrower access that a caller names, and checks the other settings.
void apply_settings(const OpDefinition& op, Call& call, const Bindings& bindings);

[[nodiscard]] float scalar_or(const Bindings& bindings, std::string_view name, double otherwise);

/// Makes the inputs' plans of a synthetic call.
class RowPlans {
 public:
  RowPlans(const OpDefinition& op, const Bindings& bindings, std::int64_t rows);

  /// A tensor of x's shape whose type is parameter `type`, or x's.
  void rows(std::string name, std::string_view type = "x_dtype");
  /// A vector of x's width where flag `wanted` is set, in weight_dtype.
  void vector(std::string name, std::string_view wanted);
  /// An operand in modulation_dtype that is spread over the rows in the form of parameter `form`.
  void broadcast(std::string name, std::string_view form);

  [[nodiscard]] std::vector<TensorPlan> take() { return std::move(plans_); }

 private:
  [[nodiscard]] DType type_of(std::string_view param) const;

  const OpDefinition& op_;
  const Bindings& bindings_;
  std::int64_t rows_;
  std::int64_t width_;
  std::vector<TensorPlan> plans_;
};

/// The plan of y: x's shape in y_dtype, or x's type.
[[nodiscard]] TensorPlan plan_y(const OpDefinition& op, const Bindings& bindings);

[[nodiscard]] bool is_wan(const ModelConfig& model);

/// One case of `model` at rows of `width` in the model's type; nothing where no op takes that width.
void add_row_case(std::vector<ModelCase>& cases, const ModelConfig& model, std::string label,
                  std::int64_t width);

}  // namespace kerncast::norm
