#include "tools/io/safetensors.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <string>

#include "kerncast/error.hpp"
#include "tests/temporary_directory.hpp"

namespace kerncast::tools {
namespace {

StoredTensor make(const std::string& name, DType dtype, std::vector<std::int64_t> shape) {
  StoredTensor tensor{name, dtype, std::move(shape), {}};
  tensor.bytes.resize(static_cast<std::size_t>(element_count(tensor.shape) * size_of(dtype)));
  for (std::size_t i = 0; i < tensor.bytes.size(); ++i) {
    tensor.bytes[i] = static_cast<std::byte>(i * 7 + name.size());
  }
  return tensor;
}

/// The bytes of a file with `header` and `data_bytes` bytes of data.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string text(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    text[i] = static_cast<char>(header.size() >> 8 * i & 0xFFU);
  }
  return text + header + std::string(data_bytes, 'x');
}

std::string refusal(const std::string& bytes) {
  try {
    static_cast<void>(parse_safetensors(bytes, "test.safetensors"));
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::io_error);
    return error.what();
  }
  return "accepted";
}

TEST_CASE("tensors of every type come back as they were written") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("all.safetensors");
  std::vector<StoredTensor> tensors;
  for (int i = 0; i <= static_cast<int>(DType::f64); ++i) {
    const auto dtype = static_cast<DType>(i);
    tensors.push_back(make("tensor " + std::string(name_of(dtype)), dtype, {3, 5}));
  }
  tensors.push_back(make("scalar", DType::f32, {}));
  tensors.push_back(make("empty", DType::bf16, {0, 7168}));
  tensors.push_back(make("quoted \"\\\n name", DType::u8, {2, 1, 3}));
  write_safetensors(path, tensors);

  const std::vector<StoredTensor> back = read_safetensors(path);
  REQUIRE(back.size() == tensors.size());
  for (const StoredTensor& expected : tensors) {
    INFO(expected.name);
    const auto found = std::find_if(back.begin(), back.end(),
                                    [&](const StoredTensor& t) { return t.name == expected.name; });
    REQUIRE(found != back.end());
    CHECK(found->dtype == expected.dtype);
    CHECK(found->shape == expected.shape);
    CHECK(found->bytes == expected.bytes);
  }
}

TEST_CASE("tensors that are not contiguous, and other formats, are refused by name") {
  const std::string strided = R"({"x":{"dtype":"U8","shape":[2,2],"strides":[1,2],"data_offsets":[0,4]}})";
  CHECK_THAT(refusal(file_of(strided, 4)),
             Catch::Contains("tensor x has a member strides") && Catch::Contains("contiguous tensors only"));
  CHECK_THAT(refusal("\x93NUMPY\x01" + std::string(200, ' ')),
             Catch::Contains("it is a NumPy file") && Catch::Contains("save_file"));
  CHECK_THAT(refusal("PK\x03\x04" + std::string(200, 'x')), Catch::Contains("it is a zip archive"));
  CHECK_THAT(refusal("PK\x03\x04"), Catch::Contains("it is a zip archive"));
}

TEST_CASE("the file is laid out as the format says") {
  const TemporaryDirectory directory;
  StoredTensor tensor = make("x", DType::i32, {2});
  const std::int32_t values[] = {1, -2};
  std::memcpy(tensor.bytes.data(), values, sizeof values);
  write_safetensors(directory.file("x.safetensors"), {tensor});
  const std::string text = directory.read("x.safetensors");
  const std::string header = R"({"x":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}})";
  REQUIRE(text.size() == 8 + (header.size() + 7) / 8 * 8 + 8);
  CHECK(text.substr(8, header.size()) == header);
  CHECK(static_cast<unsigned char>(text[0]) == (header.size() + 7) / 8 * 8);
  CHECK(text.substr(text.size() - 8) == std::string("\x01\0\0\0\xfe\xff\xff\xff", 8));
}

TEST_CASE("metadata is passed over and an empty file is a file") {
  CHECK(parse_safetensors(file_of(R"({"__metadata__":{"format":"pt"}})", 0), "t").empty());
  CHECK(parse_safetensors(file_of("{}", 0), "t").empty());
  const auto tensors = parse_safetensors(
      file_of(R"({"__metadata__":{"a":"b"},"q":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4),
      "t");
  REQUIRE(tensors.size() == 1);
  CHECK(tensors[0].dtype == DType::fp8_e4m3);
}

TEST_CASE("every kind of malformed file is refused with its reason") {
  const auto one = [](const std::string& entry) { return R"({"x":)" + entry + "}"; };
  struct Case {
    std::string bytes;
    const char* reason;
  };
  const std::string good = one(R"({"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]})");
  REQUIRE(refusal(file_of(good, 12)) == "accepted");
  const Case cases[] = {
      {"", "0 bytes, too few for a header"},
      {"1234567", "7 bytes, too few for a header"},
      {file_of(good, 12).substr(0, 20), "the file is truncated"},
      {file_of(good, 11), "lie outside the 11 bytes of data"},
      {file_of(good, 13), "1 bytes at its end belong to no tensor"},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + good, "at most 100000000 are allowed"},
      {std::string("\x00\xe1\xf5\x05\x00\x00\x00\x00", 8) + good, "only"},
      {file_of("", 0), "malformed JSON"},
      {file_of("{\"x\":\n {]", 0), "line 2, column 3"},
      {file_of("[]", 0), "not a JSON object"},
      {file_of(one(R"({"dtype":"U8","shape":[NaN],"data_offsets":[0,1]})"), 1), "malformed JSON"},
      {file_of(one(std::string(100'000, '[') + std::string(100'000, ']')), 0), "nested more than"},
      {file_of(one(R"({"dtype":"U8","data_offsets":[0,1],"shape":[)" + std::string(100'000, '[') +
                   std::string(100'000, ']') + "]}"),
               1),
       "nested more than"},
      {file_of(std::string("\xff\xfe{}", 4), 0), "malformed JSON"},
      {file_of(one("7"), 0), "is not an object"},
      {file_of(one(R"({"shape":[1],"data_offsets":[0,1]})"), 1), "tensor x has no dtype"},
      {file_of(one(R"({"dtype":"U8","data_offsets":[0,1]})"), 1), "tensor x has no shape"},
      {file_of(one(R"({"dtype":"U8","shape":[1]})"), 1), "tensor x has no data_offsets"},
      {file_of(one(R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})"), 1),
       "dtype of tensor x is not a string"},
      {file_of(one(R"({"dtype":"F4","shape":[1],"data_offsets":[0,1]})"), 1),
       "unknown dtype F4; known are F32"},
      {file_of(one(R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})"), 1),
       "shape of tensor x is not a list"},
      {file_of(one(R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})"), 1), "non-negative integer"},
      {file_of(one(R"({"dtype":"U8","shape":[1.5],"data_offsets":[0,1]})"), 1), "non-negative integer"},
      {file_of(one(R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]})"), 1),
       "dimension of"},
      {file_of(one(R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})"), 0),
       "does not fill"},
      {file_of(one(R"({"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]})"), 8),
       "does not fill"},
      {file_of(one(R"({"dtype":"U8","shape":[1,1,1,1,1,1,1],"data_offsets":[0,1]})"), 1),
       "7 dimensions; at most 6"},
      {file_of(one(R"({"dtype":"U8","shape":[1],"data_offsets":[0]})"), 1), "is not a pair"},
      {file_of(one(R"({"dtype":"U8","shape":[1],"data_offsets":["0",1]})"), 1), "non-negative integer"},
      {file_of(one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})"), 1), "lie outside"},
      {file_of(one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})"), 2),
       "1 bytes before tensor x belong"},
      {file_of(one(R"({"dtype":"BF16","shape":[3],"data_offsets":[0,4]})"), 4), "does not fill its 4 bytes"},
      {file_of(
           R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
           3),
       "tensors x and y overlap"},
      {file_of(
           R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
           2),
       "\"x\" occurs twice"},
  };
  for (const Case& bad : cases) {
    const std::string message = refusal(bad.bytes);
    INFO(message << " should say: " << bad.reason);
    CHECK(message.find(bad.reason) != std::string::npos);
    CHECK(message.find("test.safetensors") == 0);
  }
}

TEST_CASE("every truncation and every changed header byte is refused or still consistent") {
  const std::string good = file_of(R"({"x":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}})", 12);
  for (std::size_t size = 0; size < good.size(); ++size) {
    INFO("truncated to " << size);
    CHECK(refusal(good.substr(0, size)) != "accepted");
  }
  for (std::size_t at = 0; at + 12 < good.size(); ++at) {
    for (const char flipped : {'\0', '\x7f', '9', '"', '}'}) {
      std::string bad = good;
      bad[at] = flipped;
      try {
        for (const StoredTensor& tensor : parse_safetensors(bad, "t")) {
          CHECK(static_cast<std::int64_t>(tensor.bytes.size()) ==
                element_count(tensor.shape) * size_of(tensor.dtype));
        }
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::io_error);
      }
    }
  }
}

TEST_CASE("writing refuses what it cannot mean and leaves the old file alone") {
  const TemporaryDirectory directory;
  const std::string path = directory.write("y.safetensors", "old");
  StoredTensor wrong = make("x", DType::f32, {4});
  wrong.bytes.pop_back();
  CHECK_THROWS_AS(write_safetensors(path, {wrong}), Error);
  CHECK_THROWS_AS(write_safetensors(path, {make("x", DType::u8, {1}), make("x", DType::f32, {1})}), Error);
  CHECK(directory.read("y.safetensors") == "old");
  CHECK_THROWS_WITH(write_safetensors(directory.file("no/such/y"), {}), Catch::Contains("no/such/y"));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  CHECK(files == 1);
}

TEST_CASE("an unreadable file is named") {
  CHECK_THROWS_WITH(read_safetensors("/no/such/file.safetensors"),
                    Catch::Contains("/no/such/file.safetensors"));
  const TemporaryDirectory directory;
  CHECK_THROWS_WITH(read_safetensors(directory.path()), Catch::Contains("is a directory"));
}

TEST_CASE("element counts do not overflow") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({0, std::int64_t{1} << 60, std::int64_t{1} << 60}) == 0);
  CHECK(element_count({std::int64_t{1} << 31, std::int64_t{1} << 31}) == std::int64_t{1} << 62);
  CHECK(element_count({std::int64_t{1} << 32, std::int64_t{1} << 31}) == -1);
  CHECK(element_count({4, -1}) == -1);
}

}  // namespace
}  // namespace kerncast::tools
