#pragma once

#include <string>
#include <vector>

#include "runtime/python/native/own_op_call.hpp"

/// The description of an op as kerncast.own_op gives it.
namespace kerncast::python {

/// The lists of a definition for the C API, which copies them.
struct Lists {
  std::vector<std::string> texts;  ///< name, summary, formula, include, kernel, arguments type, source
  kerncast_source source{};
  std::vector<TunableSpec> tunable_specs;
  std::vector<std::vector<const char*>> choices;
  std::vector<kerncast_param_spec> params;
  std::vector<kerncast_tunable_spec> tunables;
  std::vector<std::string> docs;
  std::vector<kerncast_tensor_spec> tensors;
  std::vector<std::string> scalar_docs;
  std::vector<kerncast_scalar_spec> scalars;
  bool waits_for_primary = false;
};

/// Fills the op and the lists, which point into each other and so must stay where they are. Throws
/// PythonError and Error(invalid_argument).
void read_description(PyObject* description, OwnOp& op, Lists& lists);

}  // namespace kerncast::python
