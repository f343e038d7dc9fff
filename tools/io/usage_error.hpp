#pragma once

#include <string>

#include "kerncast/error.hpp"

namespace kerncast::tools {

/// An error of the user's command line. It leads to exit code 2, whatever its ErrorCode.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message, ErrorCode code = ErrorCode::invalid_argument)
      : Error(code, message) {}
};

}  // namespace kerncast::tools
