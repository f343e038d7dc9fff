// A library that answers as NVRTC of version FAKE_MAJOR.FAKE_MINOR does, and compiles nothing.
#include <cstddef>

namespace {
constexpr int success = 0;
constexpr int error_compilation = 6;
}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int nvrtcVersion(int* major, int* minor) {
  *major = FAKE_MAJOR;
  *minor = FAKE_MINOR;
  return success;
}
const char* nvrtcGetErrorString(int) {
  return "this NVRTC compiles nothing";
}
int nvrtcGetNumSupportedArchs(int* count) {
  *count = 0;
  return success;
}
int nvrtcGetSupportedArchs(int*) {
  return success;
}
int nvrtcCreateProgram(void** program, const char*, const char*, int, const char* const*,
                       const char* const*) {
  *program = nullptr;
  return success;
}
int nvrtcDestroyProgram(void**) {
  return success;
}
int nvrtcCompileProgram(void*, int, const char* const*) {
  return error_compilation;
}
int nvrtcAddNameExpression(void*, const char*) {
  return success;
}
int nvrtcGetLoweredName(void*, const char*, const char** name) {
  *name = "";
  return success;
}
int nvrtcGetProgramLogSize(void*, std::size_t* size) {
  *size = 1;
  return success;
}
int nvrtcGetProgramLog(void*, char* text) {
  *text = '\0';
  return success;
}
int nvrtcGetPTXSize(void*, std::size_t* size) {
  *size = 0;
  return success;
}
int nvrtcGetPTX(void*, char*) {
  return success;
}
int nvrtcGetCUBINSize(void*, std::size_t* size) {
  *size = 0;
  return success;
}
int nvrtcGetCUBIN(void*, char*) {
  return success;
}
}
#pragma GCC visibility pop
