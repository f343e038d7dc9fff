#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kerncast/op_definition.hpp"
#include "tests/templates/op_harness.hpp"

/// Cases that follow from an op's definition alone: settings, synthetic inputs and the outputs they need.
namespace kerncast::test {

using Settings = std::vector<std::pair<std::string, std::string>>;

/// Values for the required parameters, small enough for the virtual GPU. Fails the test if the op refuses
/// them.
[[nodiscard]] Settings ordinary_settings(const OpDefinition& op);

/// `settings` with `name` set to `value`.
[[nodiscard]] Settings with_setting(Settings settings, const std::string& name, std::string value);

/// The ordinary settings with one parameter changed, for every value of a type, flag, choice or list that the
/// op's planned inputs allow; a second parameter changes too if the value requires it.
[[nodiscard]] std::vector<Settings> variants_of(const OpDefinition& op);

/// The variants that change what is rounded, or to which type: those of parameters whose name says so.
[[nodiscard]] std::vector<Settings> rounding_variants_of(const OpDefinition& op);

/// Inputs with data, or without for calls that are bound and never launched: matrices of experts are large.
enum class Inputs : std::uint8_t { filled, empty };

/// A call of `rows` rows with inputs as OpDefinition::plan_inputs plans them and `kerncast run` fills them.
/// Fewer rows have the data of the first of more. An inout tensor has a second entry, NAME_out, that stands
/// for it after the call.
[[nodiscard]] OpCase derived_case(const OpDefinition& op, const Settings& settings, std::int64_t rows,
                                  Inputs inputs = Inputs::filled);

/// True for a tensor that an op uses and whose contents mean nothing after the call.
[[nodiscard]] bool is_scratch(const std::string& name);

/// Views of the tensors of `test`, each over memory of its own that nothing touches; for checks of calls that
/// are not launched.
[[nodiscard]] Views untouched_views(const OpCase& test);

/// The call of `test` over memory that nothing touches. Throws what OpDefinition::bind throws.
[[nodiscard]] Call bind_case(const OpDefinition& op, const OpCase& test);

/// True if the op takes `test`: bind throws no Error(invalid_argument).
[[nodiscard]] bool binds(const OpDefinition& op, const OpCase& test);

/// derived_case, or nothing if the op refuses the settings.
[[nodiscard]] std::optional<OpCase> try_derived_case(const OpDefinition& op, const Settings& settings,
                                                     std::int64_t rows, Inputs inputs = Inputs::filled);

/// Names of the tensors of derived_case that hold results. Workspaces do not.
[[nodiscard]] std::vector<std::string> results_of(const OpDefinition& op, const OpCase& test);

/// Names of the tensors that have one entry per row in their first dimension. For an inout tensor that is the
/// name before the call.
[[nodiscard]] std::vector<std::string> tensors_of_rows(const OpDefinition& op, const Settings& settings);

/// True if row r of every result depends on row r of the inputs only: every result has one entry per row, and
/// no input holds indices of rows.
[[nodiscard]] bool is_row_wise(const OpDefinition& op, const Settings& settings);

/// `test` with other strides for the tensor called `name` and what shares its memory.
[[nodiscard]] OpCase with_row_stride(OpCase test, const std::string& name, std::int64_t stride);

/// `test` with the tensor called `name`, and what shares its memory, `elements` past an aligned address.
[[nodiscard]] OpCase with_offset(OpCase test, const std::string& name, std::int64_t elements);

/// The tensor of `test` called `name`.
[[nodiscard]] const TensorCase& tensor_in(const OpCase& test, const std::string& name);

/// The elements of `tensor` in logical order, without padding.
[[nodiscard]] std::vector<std::byte> elements_of(const HostTensor& tensor);

/// Byte offset of element `index`, counted in logical order, in HostTensor::bytes.
[[nodiscard]] std::size_t byte_offset(const HostTensor& tensor, std::int64_t index);

}  // namespace kerncast::test
