// The comparison of outputs, bit for bit.
#include "tools/tune/evaluate/outputs_difference.hpp"

#include <catch2/catch.hpp>

using namespace kerncast::tools;

namespace {

StoredTensor tensor(const char* name, std::vector<std::byte> bytes) {
  StoredTensor made;
  made.name = name;
  made.bytes = std::move(bytes);
  return made;
}

}  // namespace

TEST_CASE("the first tensor that differs is named with its first byte") {
  const std::vector<StoredTensor> own = {tensor("y", {std::byte{1}, std::byte{2}}),
                                         tensor("z", {std::byte{3}})};
  CHECK(outputs_difference(own, own).empty());
  CHECK(outputs_difference(own, {own[0], tensor("z", {std::byte{4}})}) ==
        "z differs from what the default writes, from byte 0 of 1 on");
  CHECK(outputs_difference(own, {tensor("y", {std::byte{1}}), own[1]}) ==
        "y differs from what the default writes, from byte 1 of 2 on");
  CHECK(outputs_difference(own, {own[0]}) == "z is not written");
}
