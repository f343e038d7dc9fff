#include "runtime/python/native/op_function.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "runtime/python/native/device.hpp"
#include "runtime/python/native/errors.hpp"
#include "runtime/python/native/exchange.hpp"
#include "runtime/python/native/tensor.hpp"

namespace kerncast::python {
namespace {

template <Convention convention>
PyObject* call_op(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  return guarded([&] {
    auto* function = static_cast<OpFunction*>(PyCapsule_GetPointer(self, nullptr));
    Values values;
    function->place(arguments, count, names, values);
    return function->call(values, convention);
  });
}

/// The shortest text of a number that Python reads as the same float.
std::string number_text(double value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  std::string out(text.data(), end);
  return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}

/// The default of a parameter as Python writes it.
std::string default_text(const ParamSpec& param) {
  if (!param.default_value) {
    return {};
  }
  const std::string text = format_param(param, *param.default_value);
  std::string value = text.substr(text.find('=') + 1);
  switch (param.kind) {
    case ParamKind::boolean:
      return value == "true" ? "True" : "False";
    case ParamKind::integer:
      return value;
    default:
      return "'" + value + "'";
  }
}

std::string constraint(const ParamSpec& param) {
  std::string text;
  const auto add = [&](const std::string& value) { text += (text.empty() ? "one of " : ", ") + value; };
  if (param.kind == ParamKind::choice) {
    std::for_each(param.choices.begin(), param.choices.end(), add);
  } else if (!param.allowed.empty()) {
    for (const std::int32_t value : param.allowed) {
      const std::string full = format_param(param, value);
      add(full.substr(full.find('=') + 1));
    }
  } else if (param.kind == ParamKind::integer) {
    text = "from " + std::to_string(param.minimum) + " to " + std::to_string(param.maximum);
  }
  return text;
}

/// True if `text` has `word` as a whole identifier.
bool mentions(std::string_view text, std::string_view word) {
  const auto part_of_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !part_of_name(text[at - 1])) && (end == text.size() || !part_of_name(text[end]))) {
      return true;
    }
  }
  return false;
}

bool given(PyObject* value) {
  return value != nullptr && value != Py_None;
}

double number(PyObject* object) {
  const double value = PyFloat_AsDouble(object);
  if (value == -1 && PyErr_Occurred() != nullptr) {
    throw PythonError();
  }
  return value;
}

/// A hash of all that selects a kernel.
std::size_t kernel_hash(const Call& call) {
  std::uint64_t hash =
      static_cast<std::uint64_t>(call.device) * 31 + static_cast<std::uint64_t>(row_bucket(call.rows));
  for (const std::int32_t value : call.spec.values) {
    hash = (hash ^ static_cast<std::uint32_t>(value)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29;
  }
  return hash;
}

}  // namespace

OpFunction::OpFunction(const OpDefinition& op) : OpFunction(op, op.settings, op.plan_outputs) {}

OpFunction::OpFunction(const OpDefinition& op, const std::vector<std::string>& settings, PlanOutputs plan)
    : op_(op), plan_(std::move(plan)) {
  for (const TensorSpec& tensor : op.tensors) {
    add_name(tensor.name);
  }
  first_scalar_ = names_.size();
  for (const ScalarSpec& scalar : op.scalars) {
    add_name(scalar.name);
  }
  first_setting_ = names_.size();
  for (const std::string& name : settings) {
    add_name(name);
    setting_params_.push_back(static_cast<std::size_t>(find_param(op, name)));
  }
  first_other_ = names_.size();
  for (std::size_t i = 0; i < op.params.size(); ++i) {
    const std::string& name = op.params[i].name;
    const bool taken =
        std::any_of(names_.begin(), names_.end(), [&](const Name& known) { return known.name == name; });
    if (!taken) {
      add_name(name);
      other_params_.push_back(i);
    }
  }
  add_name("out");
  add_name("stream");
  if (names_.size() > Values().size()) {
    throw Error(ErrorCode::internal, op.name + " has more arguments than a Python call holds");
  }
  for (const bool optional : {false, true}) {
    for (std::size_t i = 0; i < op.tensors.size(); ++i) {
      if (op.tensors[i].direction != Direction::out && op.tensors[i].optional == optional) {
        positional_.push_back(i);
      }
    }
  }
  for (std::size_t i = 0; i < op.tensors.size(); ++i) {
    if (op.tensors[i].direction == Direction::out && op.tensors[i].name != workspace_name) {
      outputs_.push_back(i);
    }
  }
  describe();
}

void OpFunction::add_name(const std::string& name) {
  PyObject* text = Ref::take(PyUnicode_InternFromString(name.c_str())).release();
  names_.push_back({text, PyObject_Hash(text), name});
}

bool OpFunction::in_signature(std::size_t param) const {
  const ParamSpec& spec = op_.params[param];
  const auto described_by = [&](const TensorSpec& tensor, bool output) {
    return (tensor.direction == Direction::out) == output && (output || !tensor.optional) &&
           (mentions(tensor.doc, spec.name) || "has_" + tensor.name == spec.name);
  };
  const auto any = [&](bool output) {
    return std::any_of(op_.tensors.begin(), op_.tensors.end(),
                       [&](const TensorSpec& tensor) { return described_by(tensor, output); });
  };
  return any(true) && !any(false);
}

void OpFunction::describe() {
  signature_ = "(";
  const auto add = [&](const std::string& name, const char* kind, const std::string& otherwise) {
    signature_ += signature_.size() > 1 ? ", " : "";
    signature_ += otherwise.empty() ? name : name + "=" + otherwise;
    arguments_ += name + "\t" + kind + "\t" + otherwise + "\n";
  };
  for (const std::size_t place : positional_) {
    add(names_[place].name, op_.tensors[place].optional ? "tensor?" : "tensor",
        op_.tensors[place].optional ? "None" : "");
  }
  signature_ += ", *";
  for (const ScalarSpec& scalar : op_.scalars) {
    add(scalar.name, "float", number_text(scalar.default_value));
  }
  const auto add_param = [&](const ParamSpec& param, bool optional) {
    const char* kind = param.kind == ParamKind::boolean   ? "bool"
                       : param.kind == ParamKind::integer ? "int"
                       : param.kind == ParamKind::dtype   ? "dtype"
                                                          : "choice";
    add(param.name, kind, optional ? "None" : default_text(param));
  };
  for (const std::size_t param : setting_params_) {
    add_param(op_.params[param], false);
  }
  for (const std::size_t param : other_params_) {
    if (in_signature(param)) {
      add_param(op_.params[param], true);
    }
  }
  for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
    if (op_.tensors[i].direction == Direction::out) {
      add(names_[i].name, "output", "None");
    }
  }
  if (!outputs_.empty()) {
    add("out", outputs_.size() == 1 ? "output" : "outputs", "None");
  }
  add("stream", "stream", "None");
  signature_ += ')';
  documentation_ = documentation();
}

std::string OpFunction::documentation() const {
  std::string text = op_.name.substr(op_.name.find('.') + 1) + signature_ + "\n--\n\n" + op_.summary +
                     ".\n\n" + op_.formula + ".\n\nTensors:\n";
  for (const TensorSpec& tensor : op_.tensors) {
    const char* use = tensor.direction == Direction::in    ? "read"
                      : tensor.direction == Direction::out ? "written"
                                                           : "changed in place";
    text +=
        "    " + tensor.name + " (" + use + (tensor.optional ? ", optional" : "") + "): " + tensor.doc + "\n";
  }
  text += "\nOther arguments:\n";
  for (const ScalarSpec& scalar : op_.scalars) {
    text += "    " + scalar.name + ": " + scalar.doc + "\n";
  }
  const auto add_param = [&](const ParamSpec& param) {
    const std::string values = constraint(param);
    text += "    " + param.name + ": " + param.doc + (values.empty() ? "" : "; " + values) + "\n";
  };
  for (const std::size_t param : setting_params_) {
    add_param(op_.params[param]);
  }
  for (const std::size_t param : other_params_) {
    if (in_signature(param)) {
      add_param(op_.params[param]);
    }
  }
  if (!outputs_.empty()) {
    text += "    out: the returned output, or the tuple of them; made by the call if left out\n";
  }
  text +=
      "    stream: the stream to launch on; the current one of the tensors' library if left out\n\nReturns ";
  std::string returned;
  for (const std::size_t place : outputs_) {
    returned += (returned.empty() ? "" : ", ") + names_[place].name;
  }
  return text + (returned.empty() ? "the tensor that is changed in place" : returned) +
         ". The kernel is enqueued and not awaited.";
}

Ref OpFunction::python_function(Convention convention) {
  using Function = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);
  constexpr Function functions[] = {&call_op<Convention::typed>, &call_op<Convention::functional>,
                                    &call_op<Convention::out>};
  const auto index = static_cast<std::size_t>(convention);
  const std::size_t dot = op_.name.find('.');
  methods_[index] = {op_.name.c_str() + dot + 1,
                     reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(functions[index])),
                     METH_FASTCALL | METH_KEYWORDS, documentation_.c_str()};
  const Ref self = Ref::take(PyCapsule_New(this, nullptr, nullptr));
  const Ref name = Ref::take(PyUnicode_FromString(("kerncast." + op_.name.substr(0, dot)).c_str()));
  return Ref::take(PyCFunction_NewEx(&methods_[index], self.get(), name.get()));
}

std::size_t OpFunction::place_of(PyObject* name, PyObject* value) const {
  // A literal in Python is the interned text itself; torch makes a new text for each call.
  const Py_hash_t hash = PyObject_Hash(name);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (names_[i].text == name || (names_[i].hash == hash && names_[i].name == text_of(name))) {
      return i;
    }
  }
  refuse_name(text_of(name), value);
}

void OpFunction::refuse_name(std::string_view name, PyObject* value) const {
  Bindings wrong;
  if (PyBool_Check(value) != 0 || PyUnicode_Check(value) != 0) {
    wrong.set_param(std::string(name), "");
  } else if (PyLong_Check(value) != 0 || PyFloat_Check(value) != 0) {
    wrong.set_scalar(std::string(name), 0);
  } else {
    wrong.set_tensor(std::string(name), TensorView{});
  }
  check_names(op_, wrong);
  refuse(op_.name + " has no argument '" + std::string(name) + "'");
}

void OpFunction::place(PyObject* const* arguments, Py_ssize_t count, PyObject* names, Values& values) const {
  std::fill_n(values.begin(), names_.size(), nullptr);
  if (static_cast<std::size_t>(count) > positional_.size()) {
    refuse(op_.name + " takes " + std::to_string(positional_.size()) + " arguments without a name, not " +
           std::to_string(count) + ": its signature is " + signature_);
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    values[positional_[static_cast<std::size_t>(i)]] = arguments[i];
  }
  const Py_ssize_t named = names != nullptr ? PyTuple_Size(names) : 0;
  for (Py_ssize_t i = 0; i < named; ++i) {
    const std::size_t place = place_of(PyTuple_GetItem(names, i), arguments[count + i]);
    if (values[place] != nullptr) {
      refuse(op_.name + ": argument '" + names_[place].name + "' is given twice");
    }
    values[place] = arguments[count + i];
  }
}

std::string OpFunction::param_text(const ParamSpec& param, PyObject* value) const {
  if (param.kind == ParamKind::dtype) {
    return std::string(name_of(dtype_of(value)));
  }
  if (PyBool_Check(value) != 0) {
    return value == Py_True ? "true" : "false";
  }
  const Ref text = Ref::take(PyObject_Str(value));
  return std::string(text_of(text.get()));
}

std::int32_t OpFunction::setting_value(std::size_t setting, PyObject* value) const {
  const ParamSpec& param = op_.params[setting_params_[setting]];
  if (param.kind == ParamKind::boolean && PyBool_Check(value) != 0) {
    return value == Py_True ? 1 : 0;
  }
  return parse_param(op_, param, param_text(param, value));
}

void OpFunction::spread_out(Values& values) const {
  PyObject* out = values[names_.size() - 2];
  if (!given(out)) {
    return;
  }
  const bool several = outputs_.size() != 1;
  if (several && (PyTuple_Check(out) == 0 || PyTuple_Size(out) > static_cast<Py_ssize_t>(outputs_.size()))) {
    refuse(op_.name + ": out must be a tuple of the outputs, in this order: " + signature_);
  }
  const std::size_t count = several ? static_cast<std::size_t>(PyTuple_Size(out)) : 1;
  for (std::size_t i = 0; i < count; ++i) {
    PyObject*& value = values[outputs_[i]];
    if (given(value)) {
      refuse(op_.name + ": output '" + names_[outputs_[i]].name + "' is given by its name and by out");
    }
    value = several ? PyTuple_GetItem(out, static_cast<Py_ssize_t>(i)) : out;
  }
}

Bindings OpFunction::bindings(const Values& values, const std::vector<TensorView>& views) const {
  Bindings bindings;
  for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
    if (given(values[i])) {
      bindings.set_tensor(op_.tensors[i].name, views[i]);
    }
  }
  for (std::size_t i = 0; i < op_.scalars.size(); ++i) {
    if (given(values[first_scalar_ + i])) {
      bindings.set_scalar(op_.scalars[i].name, number(values[first_scalar_ + i]));
    }
  }
  for (std::size_t i = 0; i < setting_params_.size() + other_params_.size(); ++i) {
    const std::size_t param =
        i < setting_params_.size() ? setting_params_[i] : other_params_[i - setting_params_.size()];
    if (given(values[first_setting_ + i])) {
      bindings.set_param(op_.params[param].name, param_text(op_.params[param], values[first_setting_ + i]));
    }
  }
  return bindings;
}

bool OpFunction::lacks_outputs(const Values& values, Convention convention) const {
  if (convention == Convention::out) {
    for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
      if (op_.tensors[i].name == workspace_name) {
        return !given(values[i]);
      }
    }
    return false;
  }
  bool none = true;
  for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
    if (op_.tensors[i].direction == Direction::out) {
      if (!op_.tensors[i].optional && !given(values[i])) {
        return true;
      }
      none = none && !given(values[i]);
    }
  }
  return none;
}

std::vector<TensorPlan> OpFunction::plan(const Bindings& bindings) const {
  return plan_ == nullptr ? std::vector<TensorPlan>() : plan_(bindings);
}

std::vector<PlannedOutput> OpFunction::plan_views(const Bindings& bindings) const {
  std::vector<PlannedOutput> outputs;
  for (const TensorPlan& plan : this->plan(bindings)) {
    const auto found = std::find_if(op_.tensors.begin(), op_.tensors.end(),
                                    [&](const TensorSpec& tensor) { return tensor.name == plan.name; });
    if (found == op_.tensors.end()) {
      continue;
    }
    PlannedOutput output;
    output.place = static_cast<std::size_t>(found - op_.tensors.begin());
    TensorView& view = output.view;
    view.dtype = plan.dtype;
    view.rank = static_cast<int>(plan.shape.size());
    std::copy(plan.shape.begin(), plan.shape.end(), view.shape.begin());
    std::int64_t stride = 1;
    for (std::size_t i = plan.shape.size(); i-- > 0;) {
      view.strides[i] = plan.strides.empty() ? stride : plan.strides[i];
      if (__builtin_mul_overflow(stride, std::max<std::int64_t>(plan.shape[i], 1), &stride)) {
        refuse(op_.name + ": output '" + plan.name + "' would have 2^63 elements or more");
      }
    }
    outputs.push_back(output);
  }
  return outputs;
}

const std::vector<PlannedOutput>& OpFunction::planned(const Values& values,
                                                      const std::vector<TensorView>& views) const {
  PyObject* const* settings = values.data() + first_setting_;
  const std::size_t count = names_.size() - 2 - first_setting_;
  if (const std::vector<PlannedOutput>* known = memo_.find(views, settings, count)) {
    return *known;
  }
  return memo_.keep(views, settings, count, plan_views(bindings(values, views)));
}

void OpFunction::make_outputs(Values& values, BoundCall& bound, std::vector<TensorView>& views,
                              Convention convention) const {
  const int device = views[positional_.front()].device;
  // A copy, since allocating runs Python, which may make other calls.
  const std::vector<PlannedOutput> outputs = planned(values, views);
  for (const PlannedOutput& output : outputs) {
    const std::string& name = names_[output.place].name;
    if (given(values[output.place]) || (convention == Convention::out && name != workspace_name)) {
      continue;
    }
    TensorView view = output.view;
    view.device = device;
    bound.made.push_back(allocate_like(bound.leader, view));
    values[output.place] = bound.made.back().get();
    TensorReader(op_.name, nullptr).read(values[output.place], name, true, views[output.place]);
  }
}

Ref OpFunction::result(const Values& values) const {
  if (outputs_.empty()) {
    for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
      if (op_.tensors[i].direction == Direction::inout) {
        return Ref::share(values[i]);
      }
    }
  }
  std::array<PyObject*, 8> there{};
  std::size_t count = 0;
  for (const std::size_t place : outputs_) {
    if (given(values[place])) {
      there[count++] = values[place];
    }
  }
  if (count == 1) {
    return Ref::share(there[0]);
  }
  Ref tuple = Ref::take(PyTuple_New(static_cast<Py_ssize_t>(count)));
  for (std::size_t i = 0; i < count; ++i) {
    require(PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i), Ref::share(there[i]).release()));
  }
  return tuple;
}

Ref OpFunction::full_result(const Values& values, const BoundCall& bound) const {
  if (outputs_.empty()) {
    return Ref::share(Py_None);
  }
  std::vector<Ref> results;
  for (const std::size_t place : outputs_) {
    if (given(values[place])) {
      results.push_back(Ref::share(values[place]));
      continue;
    }
    TensorView empty;
    empty.dtype = DType::u8;
    empty.rank = 1;
    empty.strides[0] = 1;
    empty.device = bound.call.device;
    results.push_back(allocate_like(bound.leader, empty));
  }
  if (results.size() == 1) {
    return std::move(results.front());
  }
  Ref tuple = Ref::take(PyTuple_New(static_cast<Py_ssize_t>(results.size())));
  for (std::size_t i = 0; i < results.size(); ++i) {
    require(PyTuple_SetItem(tuple.get(), static_cast<Py_ssize_t>(i), results[i].release()));
  }
  return tuple;
}

BoundCall OpFunction::bind(const Values& given_values, Convention convention) const {
  static_cast<void>(runtime());  // refuses a forked process before anything else
  Values values = given_values;
  spread_out(values);
  BoundCall bound;
  PyObject* chosen = values[stream_place()];
  if (given(chosen)) {
    bound.stream = stream_of(chosen);
  }
  // Views, scalars and settings by place.
  std::vector<TensorView> views(op_.tensors.size());
  for (const std::size_t place : positional_) {
    if (bound.leader == nullptr && given(values[place])) {
      bound.leader = values[place];
    }
  }
  TensorReader reader(op_.name, bound.stream);
  for (std::size_t i = 0; i < op_.tensors.size(); ++i) {
    if (given(values[i])) {
      reader.read(values[i], op_.tensors[i].name, op_.tensors[i].direction != Direction::in, views[i]);
    }
  }
  if (bound.leader != nullptr && lacks_outputs(values, convention)) {
    make_outputs(values, bound, views, convention);
  }
  std::array<double, 16> scalars{};
  for (std::size_t i = 0; i < op_.scalars.size(); ++i) {
    PyObject* value = values[first_scalar_ + i];
    scalars[i] = given(value) ? number(value) : op_.scalars[i].default_value;
  }
  std::array<std::int32_t, Specialisation::max_params> settings{};
  for (std::size_t i = 0; i < setting_params_.size(); ++i) {
    PyObject* value = values[first_setting_ + i];
    settings[i] = given(value) ? setting_value(i, value) : PlacedArguments::unset;
  }
  bool by_name = op_.bind_placed == nullptr;
  for (std::size_t i = 0; i < other_params_.size(); ++i) {
    by_name = by_name || given(values[first_other_ + i]);
  }
  if (!by_name) {
    bound.call = op_.bind_placed({views.data(), scalars.data(), settings.data()});
    for (std::size_t i = 0; i < setting_params_.size(); ++i) {
      by_name = by_name ||
                (settings[i] != PlacedArguments::unset && bound.call.spec[setting_params_[i]] != settings[i]);
    }
  }
  if (by_name) {
    // Settings beside the typed ones, or one that the tensors contradict, which this refuses.
    bound.call = op_.bind(bindings(values, views));
  }
  if (bound.leader != nullptr && !given(chosen)) {
    bound.stream = current_stream(bound.leader, bound.call.device);
  }
  switch (convention) {
    case Convention::typed:
      bound.result = result(values);
      break;
    case Convention::functional:
      bound.result = full_result(values, bound);
      break;
    case Convention::out:
      bound.result = Ref::share(Py_None);
      break;
  }
  return bound;
}

PyObject* OpFunction::call(const Values& values, Convention convention) {
  BoundCall bound = bind(values, convention);
  const DeviceGuard guard(bound.call.device);
  const std::size_t hash = kernel_hash(bound.call);
  if (launched_.contains(hash)) {
    runtime().dispatch(op_, bound.call, bound.stream);
  } else {
    {
      const WithoutLock unlocked;
      runtime().dispatch(op_, bound.call, bound.stream);
    }
    launched_.insert(hash);
  }
  return bound.result.release();
}

namespace {

std::vector<std::unique_ptr<OpFunction>>& known_functions() {
  static auto* const functions = [] {
    auto* made = new std::vector<std::unique_ptr<OpFunction>>();
    for (const OpDefinition* op : OpRegistry::instance().all()) {
      made->push_back(std::make_unique<OpFunction>(*op));
    }
    return made;
  }();
  return *functions;
}

}  // namespace

const std::vector<std::unique_ptr<OpFunction>>& op_functions() {
  return known_functions();
}

OpFunction& add_op_function(const OpDefinition& op, const std::vector<std::string>& settings,
                            PlanOutputs plan) {
  known_functions().push_back(std::make_unique<OpFunction>(op, settings, std::move(plan)));
  return *known_functions().back();
}

OpFunction& op_function(std::string_view name) {
  const OpDefinition& op = OpRegistry::instance().require(name);
  for (const std::unique_ptr<OpFunction>& function : op_functions()) {
    if (&function->op() == &op) {
      return *function;
    }
  }
  throw Error(ErrorCode::not_found, op.name + " was added after kerncast had been imported");
}

}  // namespace kerncast::python
