// A module of remote servers of another version of Kerncast.
namespace {

struct Table {
  const char* version;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const void* kerncast_remote_servers() {
  static constexpr Table table = {"0.0.7 (libstdc++)"};
  return &table;
}
