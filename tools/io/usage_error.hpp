#pragma once

#include <string>

#include "kerncast/error.hpp"

namespace kerncast::tools {

/// What was asked for cannot be meant: exit code 2, whatever the code of the error.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message, ErrorCode code = ErrorCode::invalid_argument)
      : Error(code, message) {}
};

}  // namespace kerncast::tools
