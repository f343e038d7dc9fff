#pragma once

#include "kerncast/op_definition.hpp"
#include "kerncast/reference.hpp"

/// The functions that the build collects from the op folders, by family and op. Both macros stand outside of
/// every namespace, and the body of the function follows them:
///
///     KERNCAST_OP(norm, l2_norm) {
///       OpDefinition op = ...;
///       return op;
///     }
///
///     KERNCAST_REFERENCE(norm, l2_norm) {  // may use the parameter `input`
///       ...
///       return verdict.result();
///     }
///
/// The body is looked up in namespace kerncast::ops.

/// Opens the function that makes the definition of op `op` of family `family`.
#define KERNCAST_OP(family, op)              \
  namespace kerncast::ops {                  \
  OpDefinition family##_##op##_definition(); \
  }                                          \
  kerncast::OpDefinition kerncast::ops::family##_##op##_definition()

/// Opens the function that verifies on the host what the op `op` of family `family` wrote.
#define KERNCAST_REFERENCE(family, op)                                    \
  namespace kerncast::ops {                                               \
  ReferenceResult family##_##op##_reference(const ReferenceInput& input); \
  }                                                                       \
  kerncast::ReferenceResult kerncast::ops::family##_##op##_reference(const ReferenceInput& input)
