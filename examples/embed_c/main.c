/* A host in C that owns its device memory and calls one RMSNorm: by name, then as a prepared launch. */
#include <kerncast/kerncast.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { rows = 4, hidden = 4096, count = rows * hidden };

/* Ends the program with the message of an error. */
static void check(kerncast_status status, kerncast_error** error) {
  if (status != KERNCAST_OK) {
    fprintf(stderr, "%s: %s\n", kerncast_status_name(status), kerncast_error_message(*error));
    exit(1);
  }
}

/* A function of the driver that Kerncast has loaded. An engine links libcuda itself. The name of a function
 * tells its type, so the address is copied into a pointer of that type. */
static void* driver_function(kerncast_runtime* runtime, const char* name) {
  kerncast_error* error = NULL;
  void* address = NULL;
  check(kerncast_driver_symbol(runtime, name, &address, &error), &error);
  return address;
}

int main(void) {
  kerncast_error* error = NULL;
  kerncast_runtime* runtime = NULL;
  check(kerncast_runtime_instance(&runtime, &error), &error);
  check(kerncast_make_current(runtime, 0, &error), &error);
  int (*allocate)(uint64_t*, size_t);
  int (*upload)(uint64_t, const void*, size_t);
  int (*download)(void*, uint64_t, size_t);
  *(void**)&allocate = driver_function(runtime, "cuMemAlloc");
  *(void**)&upload = driver_function(runtime, "cuMemcpyHtoD");
  *(void**)&download = driver_function(runtime, "cuMemcpyDtoH");

  static float x[count];
  static float y[count];
  double squares = 0;
  for (int i = 0; i < count; ++i) {
    x[i] = (float)(i % 7) - 3.0F;
    squares += i < hidden ? (double)x[i] * x[i] : 0;
  }
  uint64_t in = 0;
  uint64_t out = 0;
  if (allocate(&in, sizeof x) != 0 || allocate(&out, sizeof y) != 0 || upload(in, x, sizeof x) != 0) {
    fprintf(stderr, "no device memory\n");
    return 1;
  }

  int64_t shape[2] = {rows, hidden};
  kerncast_dl_tensor tensor = {0};
  tensor.device.device_type = KERNCAST_DL_CUDA;
  tensor.dtype.code = KERNCAST_DL_FLOAT;
  tensor.dtype.bits = 32;
  tensor.dtype.lanes = 1;
  tensor.ndim = 2;
  tensor.shape = shape;
  const kerncast_op* op = NULL;
  kerncast_arguments* arguments = NULL;
  check(kerncast_op_find("norm.rms_norm", &op, &error), &error);
  check(kerncast_arguments_create(op, &arguments, &error), &error);
  tensor.data = (void*)(uintptr_t)in;
  check(kerncast_arguments_set_tensor(arguments, "x", &tensor, &error), &error);
  tensor.data = (void*)(uintptr_t)out;
  check(kerncast_arguments_set_tensor(arguments, "y", &tensor, &error), &error);
  check(kerncast_arguments_set_scalar(arguments, "eps", 1e-6, &error), &error);
  check(kerncast_run(runtime, arguments, NULL, &error), &error);

  kerncast_prepared* prepared = NULL;
  check(kerncast_prepare(runtime, arguments, NULL, &prepared, &error), &error);
  for (int i = 0; i < 3; ++i) {
    check(kerncast_prepared_launch(prepared, NULL, &error), &error);
  }
  kerncast_prepared_free(prepared);
  kerncast_arguments_free(arguments);

  const int copied = download(y, out, sizeof y) == 0;
  kerncast_runtime_free(runtime);
  const double expected = x[0] / sqrt(squares / hidden + 1e-6);
  printf("y[0] = %.6f, expected %.6f\n", y[0], expected);
  return copied && fabs(y[0] - expected) < 1e-5 ? 0 : 1;
}
