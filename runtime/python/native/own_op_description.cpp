#include "runtime/python/native/own_op_description.hpp"

#include <limits>

#include "runtime/python/native/errors.hpp"

namespace kerncast::python {
namespace {

/// The items of a list or tuple that kerncast.own_op made.
std::vector<Ref> items_of(PyObject* sequence) {
  const Py_ssize_t count = PySequence_Size(sequence);
  require(count < 0 ? -1 : 0);
  std::vector<Ref> items;
  items.reserve(static_cast<std::size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    items.push_back(Ref::take(PySequence_GetItem(sequence, i)));
  }
  return items;
}

std::int64_t integer_of(const Ref& number) {
  const long long value = PyLong_AsLongLong(number.get());
  if (value == -1 && PyErr_Occurred() != nullptr) {
    throw PythonError();
  }
  return value;
}

template <class Number>
std::vector<Number> integers_of(const Ref& list) {
  std::vector<Number> numbers;
  for (const Ref& item : items_of(list.get())) {
    const std::int64_t number = integer_of(item);
    if (number < std::numeric_limits<Number>::min() || number > std::numeric_limits<Number>::max()) {
      refuse(std::to_string(number) + " is too large for a number of an op's definition");
    }
    numbers.push_back(static_cast<Number>(number));
  }
  return numbers;
}

/// The enumerator of a number, of an enumeration from 0 to `last`.
template <class Enumeration>
Enumeration enumerator_of(const Ref& number, Enumeration last) {
  const std::int64_t value = integer_of(number);
  if (value < 0 || value > static_cast<std::int64_t>(last)) {
    refuse(std::to_string(value) + " is no kind of an op's definition");
  }
  return static_cast<Enumeration>(value);
}

std::vector<std::string> texts_of(const Ref& list) {
  std::vector<std::string> texts;
  for (const Ref& item : items_of(list.get())) {
    texts.emplace_back(text_of(item.get()));
  }
  return texts;
}

void read_params(const Ref& rows, OwnOp& op, Lists& lists) {
  for (const Ref& row : items_of(rows.get())) {
    const std::vector<Ref> columns = items_of(row.get());
    ParamSpec param;
    param.name = text_of(columns[0].get());
    param.doc = text_of(columns[1].get());
    param.kind = enumerator_of(columns[2], ParamKind::choice);
    if (columns[3].get() != Py_None) {
      param.default_value = static_cast<std::int32_t>(integer_of(columns[3]));
    }
    param.minimum = static_cast<std::int32_t>(integer_of(columns[4]));
    param.maximum = static_cast<std::int32_t>(integer_of(columns[5]));
    param.multiple_of = static_cast<std::int32_t>(integer_of(columns[6]));
    param.allowed = integers_of<std::int32_t>(columns[7]);
    param.choices = texts_of(columns[8]);
    op.params.push_back(std::move(param));
    op.param_names.push_back(Ref::share(columns[0].get()));
  }
  for (const ParamSpec& param : op.params) {
    std::vector<const char*>& choices = lists.choices.emplace_back();
    for (const std::string& choice : param.choices) {
      choices.push_back(choice.c_str());
    }
    lists.params.push_back({param.name.c_str(), param.doc.c_str(), static_cast<std::int32_t>(param.kind),
                            param.default_value ? 1 : 0, param.default_value.value_or(0), param.minimum,
                            param.maximum, param.multiple_of, param.allowed.data(), param.allowed.size(),
                            choices.data(), choices.size()});
  }
}

void read_tunables(const Ref& rows, OwnOp& op, Lists& lists) {
  std::vector<std::int32_t> defaults;
  for (const Ref& row : items_of(rows.get())) {
    const std::vector<Ref> columns = items_of(row.get());
    TunableSpec tunable;
    tunable.name = text_of(columns[0].get());
    tunable.doc = text_of(columns[1].get());
    tunable.choices = integers_of<std::int32_t>(columns[2]);
    lists.tunable_specs.push_back(std::move(tunable));
    defaults.push_back(static_cast<std::int32_t>(integer_of(columns[3])));
    op.tunable_names.push_back(Ref::share(columns[0].get()));
  }
  for (std::size_t i = 0; i < lists.tunable_specs.size(); ++i) {
    const TunableSpec& tunable = lists.tunable_specs[i];
    lists.tunables.push_back({tunable.name.c_str(), tunable.doc.c_str(), tunable.choices.data(),
                              tunable.choices.size(), 0, 0, 0, defaults[i]});
  }
}

void read_arguments(const Ref& tensors, const Ref& scalars, OwnOp& op, Lists& lists) {
  for (const Ref& row : items_of(tensors.get())) {
    const std::vector<Ref> columns = items_of(row.get());
    lists.docs.emplace_back(text_of(columns[1].get()));
    op.tensors.push_back({std::string(text_of(columns[0].get())), enumerator_of(columns[2], Direction::inout),
                          integers_of<std::int64_t>(columns[3]), integer_of(columns[4])});
  }
  for (std::size_t i = 0; i < op.tensors.size(); ++i) {
    lists.tensors.push_back({op.tensors[i].name.c_str(), lists.docs[i].c_str(),
                             static_cast<std::int32_t>(op.tensors[i].direction), 0});
  }
  std::vector<double> defaults;
  for (const Ref& row : items_of(scalars.get())) {
    const std::vector<Ref> columns = items_of(row.get());
    op.scalars.emplace_back(text_of(columns[0].get()));
    defaults.push_back(PyFloat_AsDouble(columns[1].get()));
    lists.scalar_docs.emplace_back(text_of(columns[2].get()));
  }
  for (std::size_t i = 0; i < op.scalars.size(); ++i) {
    lists.scalars.push_back({op.scalars[i].c_str(), lists.scalar_docs[i].c_str(), defaults[i]});
  }
}

}  // namespace

void read_description(PyObject* description, OwnOp& op, Lists& lists) {
  const std::vector<Ref> parts = items_of(description);
  lists.texts = texts_of(parts[0]);
  op.name = lists.texts[0];
  lists.source = {lists.texts[3].c_str(), lists.texts[6].c_str()};
  read_params(parts[1], op, lists);
  read_tunables(parts[2], op, lists);
  read_arguments(parts[3], parts[4], op, lists);
  for (const Ref& row : items_of(parts[5].get())) {
    const std::vector<Ref> columns = items_of(row.get());
    op.extents.emplace_back(text_of(columns[0].get()));
    op.extent_params.push_back(integer_of(columns[1]));
  }
  op.rows = static_cast<std::size_t>(integer_of(parts[6]));
  op.members = integers_of<std::int64_t>(parts[7]);
  op.settings = texts_of(parts[8]);
  op.geometry = Ref::share(parts[9].get());
  if (parts[10].get() != Py_None) {
    op.constraint = Ref::share(parts[10].get());
  }
  lists.waits_for_primary = parts[11].get() == Py_True;
}

}  // namespace kerncast::python
