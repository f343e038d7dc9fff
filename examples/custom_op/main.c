/* A host's own op in C, y = max(x, 0)^2. It has what Kerncast's ops have: specialisation, cache and checked
 * arguments. main.cpp beside this file is the same op in C++. */
#include <kerncast/kerncast.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The template. Config has the parameters and the tunables as constants. */
static const char template_text[] =
    "namespace own {\n"
    "struct SquaredReluKernelArgs { const float* x; float* y; long long rows; };\n"
    "template <class Config>\n"
    "__global__ void __launch_bounds__(Config::threads) squared_relu_kernel(SquaredReluKernelArgs args) {\n"
    "  const long long row = blockIdx.x;\n"
    "  for (int i = threadIdx.x; i < Config::hidden; i += Config::threads) {\n"
    "    const float positive = fmaxf(args.x[row * Config::hidden + i], 0.0f);\n"
    "    args.y[row * Config::hidden + i] = positive * positive;\n"
    "  }\n"
    "}\n"
    "}\n";

/* The struct in the template, as the host fills it. */
struct kernel_args {
  const void* x;
  void* y;
  long long rows;
};

/* Checks the arguments and makes the call. */
static kerncast_status bind(void* user, const kerncast_bindings* bindings, kerncast_call* call,
                            kerncast_error** error) {
  (void)user;
  kerncast_tensor_view x;
  kerncast_tensor_view y;
  kerncast_status status = kerncast_bindings_tensor(bindings, "x", &x, error);
  if (status == KERNCAST_OK) {
    status = kerncast_bindings_tensor(bindings, "y", &y, error);
  }
  if (status != KERNCAST_OK) {
    return status;
  }
  if (x.dtype != KERNCAST_F32 || y.dtype != KERNCAST_F32 || x.rank != 2 || y.rank != 2 ||
      memcmp(x.shape, y.shape, sizeof x.shape) != 0 || memcmp(x.strides, y.strides, sizeof x.strides) != 0 ||
      x.strides[1] != 1 || x.strides[0] != x.shape[1] || x.shape[0] > 0x7fffffff) {
    *error =
        kerncast_error_create(KERNCAST_INVALID_ARGUMENT,
                              "own.squared_relu_c: x and y must be contiguous f32 matrices of one shape, and "
                              "have fewer than 2^31 rows");
    return KERNCAST_INVALID_ARGUMENT;
  }
  const struct kernel_args arguments = {x.data, y.data, x.shape[0]};
  call->spec[0] = (int32_t)x.shape[1];
  call->rows = x.shape[0];
  call->argument_bytes = sizeof arguments;
  memcpy(call->arguments, &arguments, sizeof arguments);
  return KERNCAST_OK;
}

static void geometry(void* user, int32_t stage, const int32_t* spec, const int32_t* tunables,
                     const kerncast_device_traits* traits, int64_t row_count, kerncast_geometry* out) {
  (void)user, (void)stage, (void)spec, (void)traits;
  out->grid[0] = (uint32_t)row_count;
  out->block[0] = (uint32_t)tunables[0];
  out->grid[1] = out->grid[2] = out->block[1] = out->block[2] = 1;
}

static kerncast_status register_squared_relu(const kerncast_op** op, kerncast_error** error) {
  const int32_t threads[] = {128, 256, 512};
  const kerncast_source source = {"own/squared_relu.cuh", template_text};
  const kerncast_param_spec hidden = {
      .name = "hidden", .doc = "elements of a row", .minimum = 1, .maximum = 1 << 20};
  const kerncast_tunable_spec tunable = {.name = "threads",
                                         .doc = "threads of a block",
                                         .choices = threads,
                                         .choice_count = 3,
                                         .default_value = 256};
  const kerncast_tensor_spec tensors[] = {{"x", "[T, hidden], f32", KERNCAST_IN, 0},
                                          {"y", "[T, hidden], f32", KERNCAST_OUT, 0}};
  const kerncast_op_definition definition = {
      .struct_size = sizeof definition,
      .name = "own.squared_relu_c",
      .summary = "Square of the positive part",
      .formula = "y = max(x, 0)^2 (squared ReLU of Primer, arXiv 2109.08668)",
      .include = "own/squared_relu.cuh",
      .kernel = "own::squared_relu_kernel",
      .arguments_type = "own::SquaredReluKernelArgs",
      .sources = &source,
      .source_count = 1,
      .params = &hidden,
      .param_count = 1,
      .tunables = &tunable,
      .tunable_count = 1,
      .tensors = tensors,
      .tensor_count = 2,
      .bind = bind,
      .geometry = geometry};
  return kerncast_op_register(&definition, op, error);
}

/* Ends the program with the message of an error. */
static void check(kerncast_status status, kerncast_error** error) {
  if (status != KERNCAST_OK) {
    fprintf(stderr, "%s: %s\n", kerncast_status_name(status), kerncast_error_message(*error));
    exit(1);
  }
}

/* A function of the driver that Kerncast has loaded. An engine links libcuda itself. */
static void* driver_function(kerncast_runtime* runtime, const char* name) {
  kerncast_error* error = NULL;
  void* address = NULL;
  check(kerncast_driver_symbol(runtime, name, &address, &error), &error);
  return address;
}

int main(void) {
  enum { rows = 4, hidden = 1000, count = rows * hidden };
  kerncast_error* error = NULL;
  kerncast_runtime* runtime = NULL;
  const kerncast_op* op = NULL;
  check(kerncast_runtime_instance(&runtime, &error), &error);
  check(register_squared_relu(&op, &error), &error);
  check(kerncast_make_current(runtime, 0, &error), &error);
  int (*allocate)(uint64_t*, size_t);
  int (*upload)(uint64_t, const void*, size_t);
  int (*download)(void*, uint64_t, size_t);
  *(void**)&allocate = driver_function(runtime, "cuMemAlloc");
  *(void**)&upload = driver_function(runtime, "cuMemcpyHtoD");
  *(void**)&download = driver_function(runtime, "cuMemcpyDtoH");
  static float x[count];
  static float y[count];
  for (int i = 0; i < count; ++i) {
    x[i] = i == 0 ? 3.0F : -1.0F;
  }
  uint64_t addresses[2];
  if (allocate(&addresses[0], sizeof x) != 0 || allocate(&addresses[1], sizeof y) != 0 ||
      upload(addresses[0], x, sizeof x) != 0) {
    fprintf(stderr, "no device memory\n");
    return 1;
  }
  kerncast_arguments* arguments = NULL;
  check(kerncast_arguments_create(op, &arguments, &error), &error);
  int64_t shape[2] = {rows, hidden};
  kerncast_dl_tensor tensor = {.device = {KERNCAST_DL_CUDA, 0}, .ndim = 2, .shape = shape};
  tensor.dtype = (kerncast_dl_data_type){KERNCAST_DL_FLOAT, 32, 1};
  const char* names[] = {"x", "y"};
  for (int i = 0; i < 2; ++i) {
    tensor.data = (void*)(uintptr_t)addresses[i];
    check(kerncast_arguments_set_tensor(arguments, names[i], &tensor, &error), &error);
  }
  check(kerncast_run(runtime, arguments, NULL, &error), &error);
  int right = download(y, addresses[1], sizeof y) == 0;
  for (int i = 0; i < count; ++i) {
    right = right && y[i] == (i == 0 ? 9.0F : 0.0F);
  }
  kerncast_arguments_free(arguments);
  kerncast_runtime_free(runtime);
  printf("own.squared_relu_c: %s\n", right ? "right" : "wrong");
  return right ? 0 : 1;
}
