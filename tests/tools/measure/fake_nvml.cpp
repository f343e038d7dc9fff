// A stand-in for libnvidia-ml.so.1 that reports what the environment says. A device is known if its UUID is
// that of FAKE_NVML_UUID, or any if that is not set. FAKE_NVML_LOOKS is a list of looks, separated by ';', of
// which each is "sm_mhz memory_mhz celsius milliwatts reasons"; after the last one the list begins anew. A
// value of -1 is not supported. FAKE_NVML_DRIVER is the driver's version, and FAKE_NVML_CLOCKS holds the
// applications clocks and the highest ones, "1980 2619 1980 2619"; each is unsupported if it is not set.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int success = 0;
constexpr int not_supported = 3;
constexpr int not_found = 6;

int looks = 0;
int open_count = 0;

std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr ? text : "";
}

/// Value `index` of the current look.
long long value(int index) {
  const std::string all = variable("FAKE_NVML_LOOKS");
  std::size_t begin = 0;
  for (int i = 0; i < looks; ++i) {
    const std::size_t next = all.find(';', begin);
    begin = next == std::string::npos ? 0 : next + 1;
  }
  long long values[5] = {-1, -1, -1, -1, -1};
  std::sscanf(all.c_str() + begin, "%lld %lld %lld %lld %lld", &values[0], &values[1], &values[2], &values[3],
              &values[4]);
  return values[index];
}

int answer(int index, unsigned int* to) {
  const long long found = value(index);
  if (found < 0) {
    return not_supported;
  }
  *to = static_cast<unsigned int>(found);
  return success;
}

int clock_setting(int index, unsigned int* mhz) {
  int values[4] = {-1, -1, -1, -1};
  std::sscanf(variable("FAKE_NVML_CLOCKS").c_str(), "%d %d %d %d", &values[0], &values[1], &values[2],
              &values[3]);
  if (values[index] < 0) {
    return not_supported;
  }
  *mhz = static_cast<unsigned int>(values[index]);
  return success;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  ++open_count;
  return variable("FAKE_NVML_INIT").empty() ? success : std::atoi(variable("FAKE_NVML_INIT").c_str());
}

int nvmlShutdown() {
  --open_count;
  return success;
}

/// Calls of nvmlInit_v2 without a call of nvmlShutdown.
int fakeNvmlOpenCount() {
  return open_count;
}

int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  const std::string known = variable("FAKE_NVML_UUID");
  if (!known.empty() && known != uuid) {
    return not_found;
  }
  *device = &looks;
  return success;
}

int nvmlDeviceGetClockInfo(void* /*device*/, int type, unsigned int* mhz) {
  return answer(type == 1 ? 0 : 1, mhz);
}

int nvmlDeviceGetTemperature(void* /*device*/, int /*sensor*/, unsigned int* celsius) {
  return answer(2, celsius);
}

int nvmlDeviceGetPowerUsage(void* /*device*/, unsigned int* milliwatts) {
  return answer(3, milliwatts);
}

int nvmlSystemGetDriverVersion(char* version, unsigned int length) {
  const std::string text = variable("FAKE_NVML_DRIVER");
  if (text.empty() || text.size() >= length) {
    return not_supported;
  }
  std::strcpy(version, text.c_str());
  return success;
}

int nvmlDeviceGetApplicationsClock(void* /*device*/, int type, unsigned int* mhz) {
  return clock_setting(type == 1 ? 0 : 1, mhz);
}

int nvmlDeviceGetMaxClockInfo(void* /*device*/, int type, unsigned int* mhz) {
  return clock_setting(type == 1 ? 2 : 3, mhz);
}

/// The last question of a look, so the next one follows.
int nvmlDeviceGetCurrentClocksThrottleReasons(void* /*device*/, unsigned long long* reasons) {
  unsigned int bits = 0;
  const int result = answer(4, &bits);
  ++looks;
  *reasons = bits;
  return result;
}

}  // extern "C"
