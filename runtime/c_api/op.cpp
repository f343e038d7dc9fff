#include "kerncast/op.hpp"

#include <string>

#include "runtime/c_api/error.hpp"
#include "runtime/c_api/handles.hpp"
#include "runtime/c_api/text.hpp"

using kerncast::c_api::guarded;
using kerncast::c_api::need;

kerncast_status kerncast_op_find(const char* name, const kerncast_op** op, kerncast_error** error) {
  return guarded(error, [&] {
    const kerncast_op*& place = need(op, "kerncast_op_find", "op");
    place = kerncast::c_api::handle_of(
        kerncast::OpRegistry::instance().require(&need(name, "kerncast_op_find", "name")));
  });
}

kerncast_status kerncast_op_names(char** names, kerncast_error** error) {
  return guarded(error, [&] {
    char*& place = need(names, "kerncast_op_names", "names");
    std::string lines;
    for (const kerncast::OpDefinition* op : kerncast::OpRegistry::instance().all()) {
      lines += op->name + "\n";
    }
    place = kerncast::c_api::copy_for_caller(lines);
  });
}

const char* kerncast_op_name(const kerncast_op* op) {
  return op == nullptr ? "" : kerncast::c_api::definition_of(op)->name.c_str();
}
