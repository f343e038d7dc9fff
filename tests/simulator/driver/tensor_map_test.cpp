#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/simulator/driver/fixture.hpp"

// Tensor maps and the copies by them, against boxes that the host gathers element by element.
namespace kerncast::tests {
namespace {

constexpr unsigned shared_bytes = 65536;
constexpr std::uint8_t poison = 0xee;

struct Tensor {
  CUtensorMapDataType type = CU_TENSOR_MAP_DATA_TYPE_UINT8;
  unsigned bytes = 1;
  std::vector<std::uint64_t> dimensions;
  std::vector<std::uint64_t> strides;  ///< of all dimensions but the first
  std::vector<std::uint32_t> box;
  std::vector<std::uint32_t> steps;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;

  [[nodiscard]] unsigned rank() const { return static_cast<unsigned>(dimensions.size()); }
  [[nodiscard]] std::size_t size() const {
    return rank() == 1 ? dimensions[0] * bytes : strides.back() * dimensions.back();
  }
  [[nodiscard]] std::uint32_t count(unsigned i) const {
    return i == 0 ? box[0] : (box[i] + steps[i] - 1) / steps[i];
  }
  [[nodiscard]] unsigned elements() const {
    unsigned all = 1;
    for (unsigned i = 0; i < rank(); ++i) {
      all *= count(i);
    }
    return all;
  }
  [[nodiscard]] unsigned span() const { return 16U << swizzle; }
};

CUresult encode(CUtensorMap& map, const Tensor& tensor, CUdeviceptr address) {
  return CU(cuTensorMapEncodeTiled)(&map, tensor.type, tensor.rank(), reinterpret_cast<void*>(address),
                                    tensor.dimensions.data(), tensor.strides.data(), tensor.box.data(),
                                    tensor.steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE, tensor.swizzle,
                                    CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

/// The coordinates of a copy of `rank` dimensions, as registers.
std::string coordinates(unsigned rank) {
  std::string text = "{";
  for (unsigned i = 0; i < rank; ++i) {
    text += (i == 0 ? "c" : ", c") + std::to_string(i);
  }
  return text + "}";
}

/// Kernels `load` and `store`: the image of shared memory comes from `image` and goes back there.
std::string copies(unsigned rank, const std::string& load_space = "shared::cluster") {
  const std::string dims = std::to_string(rank) + "d";
  const std::string begin =
      "(.param .align 64 .b8 map[128], .param .u64 image, .param .align 4 .b8 at[20], .param .u32 bytes) {\n"
      ".shared .align 8 .b64 bar; .reg .u64 m, g, a; .reg .u32 s, t, i, v, n, b, c<5>; .reg .pred p, q;\n"
      "mov.u64 m, map; cvta.param.u64 m, m; ld.param.u64 g, [image]; ld.param.u32 n, [bytes];\n"
      "ld.param.u32 c0, [at]; ld.param.u32 c1, [at+4]; ld.param.u32 c2, [at+8]; ld.param.u32 c3, [at+12];\n"
      "ld.param.u32 c4, [at+16]; mov.u32 s, buf; mov.u32 t, %tid.x; mov.u32 b, bar; setp.eq.u32 q, t, 0;\n"
      "@q mbarrier.init.shared::cta.b64 [b], 1; @q fence.mbarrier_init.release.cluster;\n"
      "mov.u32 i, t; in: mad.wide.u32 a, i, 4, g; ld.global.u32 v, [a]; mad.lo.u32 v, v, 1, 0;\n"
      ".reg .u32 w; mad.lo.u32 w, i, 4, s; st.shared.u32 [w], v; add.u32 i, i, 64;\n"
      "setp.lt.u32 p, i, " +
      std::to_string(shared_bytes / 4) +
      "; @p bra in;\n"
      "fence.proxy.async.shared::cta; bar.sync 0;\n";
  const std::string end =
      "bar.sync 0; mov.u32 i, t; out: mad.wide.u32 a, i, 4, g; mad.lo.u32 w, i, 4, s; ld.shared.u32 v, [w];\n"
      "st.global.u32 [a], v; add.u32 i, i, 64; setp.lt.u32 p, i, " +
      std::to_string(shared_bytes / 4) + "; @p bra out; ret; }\n";
  return ".version 8.6\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 buf[];\n"
         ".visible .entry load" +
         begin +
         "@q prefetch.tensormap [m];\n"
         "@q cp.async.bulk.prefetch.tensor." +
         dims + ".L2.global.tile [m, " + coordinates(rank) +
         "];\n"
         "@q mbarrier.arrive.expect_tx.shared::cta.b64 _, [b], n;\n"
         "@q cp.async.bulk.tensor." +
         dims + "." + load_space + ".global.tile.mbarrier::complete_tx::bytes [s], [m, " + coordinates(rank) +
         "], [b];\n"
         "wait: mbarrier.try_wait.parity.shared::cta.b64 p, [b], 0; @!p bra wait;\n" +
         end + ".visible .entry store" + begin + "@q cp.async.bulk.tensor." + dims +
         ".global.shared::cta.tile.bulk_group [m, " + coordinates(rank) +
         "], [s];\n@q cp.async.bulk.commit_group; @q cp.async.bulk.wait_group.read 0; ret; }\n";
}

/// Calls f(place in the tensor in bytes or -1, place in shared memory) for each element of the box.
template <class F>
void for_box(const Tensor& tensor, const std::vector<std::int32_t>& at, F&& f) {
  const unsigned row = tensor.box[0] * tensor.bytes;
  const unsigned pitch = tensor.swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ? row : tensor.span();
  for (unsigned e = 0; e < tensor.elements(); ++e) {
    unsigned rest = e;
    std::int64_t place = 0;
    for (unsigned i = 0; i < tensor.rank(); ++i) {
      const std::int64_t x =
          at[i] + static_cast<std::int64_t>(rest % tensor.count(i)) * (i == 0 ? 1 : tensor.steps[i]);
      rest /= tensor.count(i);
      const bool within = x >= 0 && x < static_cast<std::int64_t>(tensor.dimensions[i]);
      place = place < 0 || !within
                  ? -1
                  : place + x * static_cast<std::int64_t>(i == 0 ? tensor.bytes : tensor.strides[i - 1]);
    }
    unsigned to = e / tensor.box[0] * pitch + e % tensor.box[0] * tensor.bytes;
    if (tensor.swizzle != CU_TENSOR_MAP_SWIZZLE_NONE) {
      // Within each span the chunk of 16 bytes goes to the place that differs by the number of the 128 bytes.
      const unsigned chunks = tensor.span() / 16;
      to = to / tensor.span() * tensor.span() + (to / 16 % chunks ^ to / 128 % chunks) * 16 + to % 16;
    }
    f(place, to);
  }
}

struct TensorMaps : PrimaryFixture {
  CUdeviceptr tensor_at = 0;
  CUdeviceptr image_at = 0;

  CUdeviceptr filled(const std::vector<std::uint8_t>& bytes) {
    CUdeviceptr at = 0;
    REQUIRE_CU(api.cuMemAlloc(&at, bytes.size()));
    REQUIRE_CU(CU(cuMemcpyHtoD_v2)(at, bytes.data(), bytes.size()));
    return at;
  }
  std::vector<std::uint8_t> read(CUdeviceptr at, std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    REQUIRE_CU(CU(cuMemcpyDtoH_v2)(bytes.data(), at, size));
    return bytes;
  }

  CUresult launch(CUmodule module, const char* name, CUtensorMap map, const std::vector<std::int32_t>& at,
                  unsigned bytes) {
    CUfunction kernel = nullptr;
    REQUIRE_CU(api.cuModuleGetFunction(&kernel, module, name));
    REQUIRE_CU(api.cuFuncSetAttribute(kernel, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes));
    std::array<std::int32_t, 5> corner{};
    std::copy(at.begin(), at.end(), corner.begin());
    void* parameters[] = {&map, &image_at, corner.data(), &bytes};
    REQUIRE_CU(api.cuLaunchKernel(kernel, 1, 1, 1, 64, 1, 1, shared_bytes, nullptr, parameters, nullptr));
    return api.cuStreamSynchronize(nullptr);
  }

  /// Loads a box and stores another image through the same map.
  void check(const Tensor& tensor, const std::vector<std::int32_t>& at, CUmodule module) {
    INFO("rank " << tensor.rank() << " bytes " << tensor.bytes << " swizzle " << tensor.swizzle << " box "
                 << tensor.box[0] << " at " << at[0]);
    std::minstd_rand random(tensor.elements());
    std::vector<std::uint8_t> values(tensor.size());
    std::vector<std::uint8_t> image(shared_bytes);
    for (std::uint8_t& value : values) {
      value = static_cast<std::uint8_t>(random() % 255 + 1);
    }
    for (std::uint8_t& value : image) {
      value = static_cast<std::uint8_t>(random());
    }
    tensor_at = filled(values);
    image_at = filled(std::vector<std::uint8_t>(shared_bytes, poison));
    CUtensorMap map{};
    REQUIRE_CU(encode(map, tensor, tensor_at));
    REQUIRE_CU(launch(module, "load", map, at, tensor.elements() * tensor.bytes));
    std::vector<std::uint8_t> loaded(shared_bytes, poison);
    std::vector<std::uint8_t> stored = values;
    for_box(tensor, at, [&](std::int64_t place, unsigned to) {
      for (unsigned i = 0; i < tensor.bytes; ++i) {
        loaded[to + i] = place < 0 ? 0 : values[static_cast<std::size_t>(place) + i];
        if (place >= 0) {
          stored[static_cast<std::size_t>(place) + i] = image[to + i];
        }
      }
    });
    CHECK(read(image_at, shared_bytes) == loaded);
    CHECK(read(tensor_at, values.size()) == values);
    REQUIRE_CU(CU(cuMemcpyHtoD_v2)(image_at, image.data(), image.size()));
    REQUIRE_CU(launch(module, "store", map, at, 0));
    CHECK(read(tensor_at, values.size()) == stored);
    REQUIRE_CU(api.cuMemFree(tensor_at));
    REQUIRE_CU(api.cuMemFree(image_at));
  }
};

struct Type {
  CUtensorMapDataType type;
  unsigned bytes;
};

constexpr std::array<Type, 9> types{{{CU_TENSOR_MAP_DATA_TYPE_UINT8, 1},
                                     {CU_TENSOR_MAP_DATA_TYPE_UINT16, 2},
                                     {CU_TENSOR_MAP_DATA_TYPE_UINT32, 4},
                                     {CU_TENSOR_MAP_DATA_TYPE_INT32, 4},
                                     {CU_TENSOR_MAP_DATA_TYPE_UINT64, 8},
                                     {CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 2},
                                     {CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 4},
                                     {CU_TENSOR_MAP_DATA_TYPE_FLOAT64, 8},
                                     {CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2}}};

/// A matrix of 40 rows of `columns` elements.
Tensor matrix(const Type& type, std::uint64_t columns, std::uint32_t box_columns, std::uint32_t box_rows,
              CUtensorMapSwizzle swizzle) {
  Tensor tensor;
  tensor.type = type.type;
  tensor.bytes = type.bytes;
  tensor.dimensions = {columns, 40};
  tensor.strides = {(columns * type.bytes + 31) / 16 * 16};
  tensor.box = {box_columns, box_rows};
  tensor.steps = {1, 1};
  tensor.swizzle = swizzle;
  return tensor;
}

}  // namespace

TEST_CASE_METHOD(TensorMaps, "boxes of matrices are copied with every type and swizzle") {
  const CUmodule module = load(copies(2).c_str());
  for (const Type& type : types) {
    for (const unsigned swizzle : {0U, 1U, 2U, 3U}) {
      const auto mode = static_cast<CUtensorMapSwizzle>(swizzle);
      const std::uint32_t row = (swizzle == 0 ? 64U : 16U << swizzle) / type.bytes;
      const Tensor tensor = matrix(type, 77, row, 24, mode);
      check(tensor, {0, 0}, module);
      check(tensor, {-3, 20}, module);
      check(tensor, {77 - static_cast<std::int32_t>(row) / 2, -5}, module);
      check(tensor, {1000, 2}, module);
      // A row that is shorter than the swizzle's span.
      if (swizzle > 1) {
        check(matrix(type, 77, 16 / type.bytes, 9, mode), {5, 38}, module);
      }
    }
  }
}

TEST_CASE_METHOD(TensorMaps, "boxes of one to five dimensions are copied, with steps") {
  std::minstd_rand generator(7);
  const auto random = [&] { return static_cast<std::uint32_t>(generator()); };
  for (unsigned rank = 1; rank <= 5; ++rank) {
    const CUmodule module = load(copies(rank, rank % 2 == 0 ? "shared::cluster" : "shared::cta").c_str());
    for (unsigned trial = 0; trial < 12; ++trial) {
      const Type& type = types[trial % types.size()];
      Tensor tensor;
      tensor.type = type.type;
      tensor.bytes = type.bytes;
      tensor.swizzle = static_cast<CUtensorMapSwizzle>(trial % 4);
      std::vector<std::int32_t> at;
      std::uint64_t stride = 0;
      for (unsigned i = 0; i < rank; ++i) {
        const std::uint64_t size = i == 0 ? 20 + random() % 40 : 2 + random() % 5;
        stride = i == 0 ? (size * type.bytes + 15) / 16 * 16 : stride * size + 16 * (random() % 2);
        tensor.dimensions.push_back(size);
        tensor.box.push_back(i == 0 ? (trial % 4 == 0 ? 32U : 16U << trial % 4) / type.bytes
                                    : 1 + random() % 5);
        tensor.steps.push_back(1 + random() % (i == 0 ? 8 : 3));
        at.push_back(static_cast<std::int32_t>(random() % (size + 2)) - 1);
        if (i + 1 < rank) {
          tensor.strides.push_back(stride);
        }
      }
      check(tensor, at, module);
    }
  }
}

TEST_CASE_METHOD(TensorMaps, "a tensor map is refused where its arguments break a rule") {
  const Tensor good = matrix(types[5], 77, 32, 24, CU_TENSOR_MAP_SWIZZLE_64B);
  tensor_at = filled(std::vector<std::uint8_t>(good.size()));
  CUtensorMap map{};
  REQUIRE_CU(encode(map, good, tensor_at));
  const auto refused = [&](auto change, CUresult error = CUDA_ERROR_INVALID_VALUE) {
    Tensor tensor = good;
    change(tensor);
    CHECK(encode(map, tensor, tensor_at) == error);
  };
  refused([](Tensor& t) { t.dimensions[1] = 0; });
  refused([](Tensor& t) { t.dimensions[1] = (std::uint64_t{1} << 32) + 1; });
  refused([](Tensor& t) { t.strides[0] = 168; });
  refused([](Tensor& t) { t.strides[0] = std::uint64_t{1} << 40; });
  refused([](Tensor& t) { t.box[1] = 0; });
  refused([](Tensor& t) { t.box[1] = 257; });
  refused([](Tensor& t) { t.box[0] = 36; });
  refused([](Tensor& t) { t.box[0] = 12; });
  refused([](Tensor& t) { t.steps[1] = 0; });
  refused([](Tensor& t) { t.steps[1] = 9; });
  refused([](Tensor& t) { t.swizzle = static_cast<CUtensorMapSwizzle>(7); });
  refused([](Tensor& t) { t.swizzle = CU_TENSOR_MAP_SWIZZLE_128B_ATOM_32B; }, CUDA_ERROR_NOT_SUPPORTED);
  refused([](Tensor& t) { t.type = static_cast<CUtensorMapDataType>(16); });
  refused([](Tensor& t) { t.type = CU_TENSOR_MAP_DATA_TYPE_TFLOAT32; }, CUDA_ERROR_NOT_SUPPORTED);
  refused([](Tensor& t) {
    t.dimensions.assign(6, 4), t.strides.assign(5, 64), t.box.assign(6, 8), t.steps.assign(6, 1);
  });
  refused([](Tensor& t) { t.dimensions.clear(); });
  CHECK(encode(map, good, tensor_at + 8) == CUDA_ERROR_INVALID_VALUE);
  CHECK(encode(map, good, 0) == CUDA_ERROR_INVALID_VALUE);
  const auto given = [&](CUtensorMap* to, CUtensorMapInterleave interleave, CUtensorMapFloatOOBfill fill,
                         CUtensorMapDataType type) {
    return CU(cuTensorMapEncodeTiled)(to, type, 2, reinterpret_cast<void*>(tensor_at), good.dimensions.data(),
                                      good.strides.data(), good.box.data(), good.steps.data(), interleave,
                                      good.swizzle, CU_TENSOR_MAP_L2_PROMOTION_NONE, fill);
  };
  constexpr auto nan = CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA;
  constexpr auto none = CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE;
  CHECK(given(nullptr, CU_TENSOR_MAP_INTERLEAVE_NONE, none, good.type) == CUDA_ERROR_INVALID_VALUE);
  CHECK(given(reinterpret_cast<CUtensorMap*>(reinterpret_cast<std::byte*>(&map) + 16),
              CU_TENSOR_MAP_INTERLEAVE_NONE, none, good.type) == CUDA_ERROR_INVALID_VALUE);
  CHECK(given(&map, CU_TENSOR_MAP_INTERLEAVE_16B, none, good.type) == CUDA_ERROR_INVALID_VALUE);
  CHECK(given(&map, CU_TENSOR_MAP_INTERLEAVE_NONE, nan, good.type) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(given(&map, CU_TENSOR_MAP_INTERLEAVE_NONE, nan, CU_TENSOR_MAP_DATA_TYPE_UINT16) ==
        CUDA_ERROR_INVALID_VALUE);
}

}  // namespace kerncast::tests
