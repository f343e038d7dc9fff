#pragma once

#include <filesystem>

namespace kerncast {

/// The folder of the module that holds this code: the shared library, or the program that it is linked into.
/// Empty if the system does not tell, and for a program with raised privileges: whoever starts such a program
/// may have linked it into a folder of his own.
[[nodiscard]] std::filesystem::path own_folder();

}  // namespace kerncast
