#include "tests/templates/suite/derived_cases.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "tools/run/op_run.hpp"
#include "tools/run/synthetic.hpp"

namespace kerncast::test {
namespace {

/// The address of the `index`-th tensor of a call that is not launched, far from all others. Nothing touches
/// it.
void* untouched_address(std::size_t index, std::int64_t offset = 0) {
  return reinterpret_cast<void*>(((index + 1) << 42U) + static_cast<std::uintptr_t>(offset));  // NOLINT
}

/// `value` as Bindings::set_param takes it.
std::string text_of(const ParamSpec& param, std::int32_t value) {
  const std::string both = format_param(param, value);
  return both.substr(both.find('=') + 1);
}

std::int32_t ordinary_value(const ParamSpec& param) {
  if (param.kind != ParamKind::integer) {
    return param.allowed.empty() ? 0 : param.allowed.front();
  }
  if (!param.allowed.empty()) {
    return param.allowed.front();
  }
  // A bound says what the parameter counts: elements of a row; experts, heads or elements of a head; slots.
  const std::int32_t wanted = param.maximum > 4096 ? 256 : param.maximum >= 256 ? 32 : 2;
  const std::int32_t rounded = (wanted + param.multiple_of - 1) / param.multiple_of * param.multiple_of;
  return std::clamp(rounded, param.minimum, param.maximum);
}

/// The values that a variant gives `param`.
std::vector<std::int32_t> values_of(const ParamSpec& param) {
  switch (param.kind) {
    case ParamKind::boolean:
      return {0, 1};
    case ParamKind::choice: {
      std::vector<std::int32_t> all(param.choices.size());
      for (std::size_t i = 0; i < all.size(); ++i) {
        all[i] = static_cast<std::int32_t>(i);
      }
      return all;
    }
    case ParamKind::dtype:
      return param.allowed;
    case ParamKind::integer:
      break;
  }
  if (!param.default_value || !param.allowed.empty()) {
    return param.allowed;
  }
  return {param.minimum, param.minimum + 1, 4};
}

TensorCase tensor_case(const TensorPlan& plan) {
  TensorCase made;
  made.name = plan.name;
  made.dtype = plan.dtype;
  made.shape = plan.shape;
  made.strides = plan.strides;
  made.storage = tools::storage_elements(plan);
  return made;
}

void copy_elements(const HostTensor& tensor, std::size_t dimension, std::int64_t offset,
                   std::vector<std::byte>& out) {
  const auto size = static_cast<std::size_t>(size_of(tensor.dtype));
  if (dimension == tensor.shape.size()) {
    const auto first =
        tensor.bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(offset) * size);
    out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(size));
    return;
  }
  for (std::int64_t i = 0; i < tensor.shape[dimension]; ++i) {
    copy_elements(tensor, dimension + 1, offset + i * tensor.strides[dimension], out);
  }
}

}  // namespace

bool is_scratch(const std::string& name) {
  return name == "workspace";
}

Settings ordinary_settings(const OpDefinition& op) {
  Settings settings;
  for (const ParamSpec& param : op.params) {
    if (!param.default_value) {
      settings.emplace_back(param.name, text_of(param, ordinary_value(param)));
    }
  }
  INFO("A new parameter may need a default, or ordinary_value in derived_cases.cpp another rule.");
  CHECK_NOTHROW(specialise(op, settings));
  return settings;
}

Settings with_setting(Settings settings, const std::string& name, std::string value) {
  for (auto& [param, text] : settings) {
    if (param == name) {
      text = std::move(value);
      return settings;
    }
  }
  settings.emplace_back(name, std::move(value));
  return settings;
}

std::vector<Settings> variants_of(const OpDefinition& op) {
  const Settings ordinary = ordinary_settings(op);
  const auto accepted = [&](const Settings& settings) {
    return try_derived_case(op, settings, 3, Inputs::empty).has_value();
  };
  const auto changed = [](const Settings& settings, const ParamSpec& param, std::int32_t value) {
    return with_setting(settings, param.name, text_of(param, value));
  };
  const auto with_another = [&](const Settings& settings) -> std::optional<Settings> {
    for (const ParamSpec& other : op.params) {
      for (const std::int32_t value : values_of(other)) {
        if (Settings both = changed(settings, other, value);
            both.size() > settings.size() && accepted(both)) {
          return both;
        }
      }
    }
    return std::nullopt;
  };
  std::vector<Settings> variants;
  for (const ParamSpec& param : op.params) {
    for (const std::int32_t value : values_of(param)) {
      if (value == param.default_value) {
        continue;
      }
      const Settings settings = changed(ordinary, param, value);
      if (accepted(settings)) {
        variants.push_back(settings);
      } else if (const std::optional<Settings> both = with_another(settings)) {
        variants.push_back(*both);
      }
    }
  }
  return variants;
}

std::vector<Settings> rounding_variants_of(const OpDefinition& op) {
  std::vector<Settings> variants = variants_of(op);
  std::erase_if(variants, [](const Settings& settings) {
    return std::none_of(settings.begin(), settings.end(),
                        [](const auto& setting) { return setting.first.find("round") != std::string::npos; });
  });
  return variants;
}

OpCase derived_case(const OpDefinition& op, const Settings& settings, std::int64_t rows, Inputs inputs) {
  OpCase made;
  made.op = op.name;
  made.params = settings;
  Bindings planned;
  for (const auto& [name, value] : settings) {
    planned.set_param(name, value);
  }
  for (const ScalarSpec& scalar : op.scalars) {
    made.scalars.emplace_back(scalar.name, scalar.default_value);
  }
  std::vector<TensorCase> after;
  for (const TensorPlan& plan : op.plan_inputs(planned, rows)) {
    TensorCase tensor = tensor_case(plan);
    std::int64_t elements = 1;
    for (const std::int64_t extent : plan.shape) {
      elements *= extent;
    }
    if (inputs == Inputs::filled) {
      tensor.bytes = tools::synthetic_data(plan.name, plan.dtype, elements,
                                           tools::seed_of(op.name, plan.name), plan.integers_below);
    }
    planned.set_tensor(plan.name, view_of(tensor, untouched_address(made.tensors.size())));
    const auto spec = std::find_if(op.tensors.begin(), op.tensors.end(),
                                   [&](const TensorSpec& item) { return item.name == plan.name; });
    REQUIRE(spec != op.tensors.end());
    if (spec->direction == Direction::inout) {
      TensorCase out = tensor;
      out.name += "_out";
      out.bytes.clear();
      out.alias = plan.name;
      after.push_back(std::move(out));
    }
    made.tensors.push_back(std::move(tensor));
  }
  for (const TensorPlan& plan : op.plan_outputs(planned)) {
    made.tensors.push_back(tensor_case(plan));
    made.tensors.back().owns_padding = !plan.storage_shape.empty();
  }
  made.tensors.insert(made.tensors.end(), after.begin(), after.end());
  return made;
}

Views untouched_views(const OpCase& test) {
  Views views;
  for (const TensorCase& tensor : test.tensors) {
    views[tensor.name] =
        view_of(tensor, untouched_address(views.size(), tensor.offset * size_of(tensor.dtype)));
  }
  return views;
}

Call bind_case(const OpDefinition& op, const OpCase& test) {
  return op.bind(bindings_of(test, untouched_views(test)));
}

bool binds(const OpDefinition& op, const OpCase& test) {
  try {
    static_cast<void>(bind_case(op, test));
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_argument) {
      throw;
    }
    return false;
  }
}

std::optional<OpCase> try_derived_case(const OpDefinition& op, const Settings& settings, std::int64_t rows,
                                       Inputs inputs) {
  try {
    OpCase made = derived_case(op, settings, rows, inputs);
    if (binds(op, made)) {
      return made;
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::invalid_argument) {
      throw;
    }
  }
  return std::nullopt;
}

std::vector<std::string> results_of(const OpDefinition& op, const OpCase& test) {
  std::vector<std::string> names;
  for (const TensorCase& tensor : test.tensors) {
    const bool written =
        !tensor.alias.empty() || std::any_of(op.tensors.begin(), op.tensors.end(), [&](const auto& spec) {
          return spec.name == tensor.name && spec.direction == Direction::out;
        });
    if (written && !is_scratch(tensor.name)) {
      names.push_back(tensor.name);
    }
  }
  return names;
}

std::vector<std::string> tensors_of_rows(const OpDefinition& op, const Settings& settings) {
  const OpCase few = derived_case(op, settings, 2, Inputs::empty);
  const OpCase more = derived_case(op, settings, 4, Inputs::empty);
  std::vector<std::string> names;
  for (const TensorCase& tensor : few.tensors) {
    const TensorCase& longer = tensor_in(more, tensor.name);
    if (tensor.alias.empty() && !is_scratch(tensor.name) && !tensor.shape.empty() &&
        longer.shape.front() == 2 * tensor.shape.front()) {
      names.push_back(tensor.name);
    }
  }
  return names;
}

bool is_row_wise(const OpDefinition& op, const Settings& settings) {
  const std::vector<std::string> of_rows = tensors_of_rows(op, settings);
  for (const std::string& name : results_of(op, derived_case(op, settings, 2))) {
    const TensorCase& tensor = tensor_in(derived_case(op, settings, 2), name);
    if (std::find(of_rows.begin(), of_rows.end(), tensor.alias.empty() ? name : tensor.alias) ==
        of_rows.end()) {
      return false;
    }
  }
  Bindings planned;
  for (const auto& [name, value] : settings) {
    planned.set_param(name, value);
  }
  const std::vector<TensorPlan> few = op.plan_inputs(planned, 2);
  const std::vector<TensorPlan> more = op.plan_inputs(planned, 4);
  return std::equal(few.begin(), few.end(), more.begin(), more.end(),
                    [](const auto& a, const auto& b) { return a.integers_below == b.integers_below; });
}

OpCase with_row_stride(OpCase test, const std::string& name, std::int64_t stride) {
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name == name || tensor.alias == name) {
      if (tensor.strides.empty()) {
        tensor.strides.assign(tensor.shape.size(), 1);
        for (std::size_t i = tensor.shape.size(); i-- > 1;) {
          tensor.strides[i - 1] = tensor.strides[i] * tensor.shape[i];
        }
      }
      tensor.strides.front() = stride;
      tensor.storage = 0;
    }
  }
  return test;
}

OpCase with_offset(OpCase test, const std::string& name, std::int64_t elements) {
  for (TensorCase& tensor : test.tensors) {
    if (tensor.name == name || tensor.alias == name) {
      tensor.offset = elements;
    }
  }
  return test;
}

const TensorCase& tensor_in(const OpCase& test, const std::string& name) {
  const auto found = std::find_if(test.tensors.begin(), test.tensors.end(),
                                  [&](const TensorCase& tensor) { return tensor.name == name; });
  REQUIRE(found != test.tensors.end());
  return *found;
}

std::vector<std::byte> elements_of(const HostTensor& tensor) {
  std::vector<std::byte> bytes;
  copy_elements(tensor, 0, 0, bytes);
  return bytes;
}

std::size_t byte_offset(const HostTensor& tensor, std::int64_t index) {
  std::int64_t offset = 0;
  for (std::size_t i = tensor.shape.size(); i-- > 0;) {
    offset += index % tensor.shape[i] * tensor.strides[i];
    index /= tensor.shape[i];
  }
  return static_cast<std::size_t>(offset * static_cast<std::int64_t>(size_of(tensor.dtype)));
}

}  // namespace kerncast::test
