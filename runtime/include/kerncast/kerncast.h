#ifndef KERNCAST_KERNCAST_H
#define KERNCAST_KERNCAST_H

#include <stddef.h>
#include <stdint.h>

#include "kerncast/dlpack.h"

/*! \file
 * The C API of Kerncast, in C99. It offers the ops, the cache and own ops of a host to programs that do not
 * share the library's C++ ABI. No exception leaves a function and none ends the process.
 *
 * Errors. A function that can fail returns a status and takes the place of an error as its last argument. On
 * failure that place gets a new error, which the caller frees with kerncast_error_free(); on success it gets
 * NULL. A place of NULL means that the caller wants the status alone. A result is written only on success. A
 * handle or text of NULL is KERNCAST_INVALID_ARGUMENT unless the function says that NULL is allowed.
 *
 * Texts. Every text is UTF-8 and ends with a zero. A `char**` result is the caller's, who frees it with
 * kerncast_text_free(). A `const char*` result lives as long as the handle that it came from.
 *
 * Threads. One runtime, op or prepared launch serves any number of threads at once, but a rebinding excludes
 * other uses of its prepared launch. Options, arguments, reports and errors belong to one thread at a time.
 *
 * Lifetime. What was made from a runtime keeps it alive, so handles may be freed in any order. Device memory
 * must live until the kernels that use it have run.
 *
 * Asynchrony. A launch is enqueued on its stream and the function returns. Only the first use of a kernel
 * waits, for the cache or the compiler. A fault of a running kernel shows when the host synchronises.
 *
 * Compatibility. Functions, constants and structs keep their symbol version KERNCAST_C_1 and their layout
 * within one soname.
 */

#ifdef __cplusplus
extern "C" {
#endif

/*! Marks what the shared library offers to C. */
#define KERNCAST_C_API __attribute__((visibility("default")))

/*! The version of this interface. kerncast_c_abi() gives that of the library. */
#define KERNCAST_C_ABI 1

#define KERNCAST_MAX_RANK 6             /*!< most dimensions of a tensor */
#define KERNCAST_MAX_PARAMS 16          /*!< most parameters of an op */
#define KERNCAST_MAX_TUNABLES 8         /*!< most tunables of an op */
#define KERNCAST_MAX_ARGUMENT_BYTES 256 /*!< most bytes of a kernel's arguments */

/*! A CUstream or cudaStream_t. NULL is the legacy default stream of the current context. */
typedef void* kerncast_stream;

/*! The outcome of a call. The numbers are those of kerncast::ErrorCode and never change. */
typedef int32_t kerncast_status;
enum {
  KERNCAST_OK = 0,
  KERNCAST_INVALID_ARGUMENT = 1, /*!< a handle, tensor, parameter or option breaks a constraint */
  KERNCAST_UNSUPPORTED = 2,      /*!< valid, but not offered on this device, driver or compiler */
  KERNCAST_NOT_FOUND = 3,        /*!< an op, file, library, device or compiler does not exist */
  KERNCAST_COMPILE_FAILED = 4,   /*!< NVRTC refused the generated source */
  KERNCAST_DRIVER_ERROR = 5,     /*!< a call of the driver failed; see kerncast_error_driver_result() */
  KERNCAST_OUT_OF_MEMORY = 6,    /*!< host or device memory */
  KERNCAST_IO_ERROR = 7,         /*!< a file could not be read or written */
  KERNCAST_CAPTURE_MISS = 8,     /*!< a kernel is not cached and a CUDA graph is being captured */
  KERNCAST_INTERNAL = 9,         /*!< a defect of Kerncast */
  KERNCAST_CACHE_MISS = 10       /*!< a kernel is not cached and strict serving forbids compiling it */
};

/*! Element types, with the numbers of kerncast::DType. */
enum {
  KERNCAST_F32 = 0,
  KERNCAST_F16 = 1,
  KERNCAST_BF16 = 2,
  KERNCAST_FP8_E4M3 = 3,
  KERNCAST_FP8_E5M2 = 4,
  KERNCAST_UE8M0 = 5,
  KERNCAST_I8 = 6,
  KERNCAST_U8 = 7,
  KERNCAST_I32 = 8,
  KERNCAST_I64 = 9,
  KERNCAST_F64 = 10
};

typedef struct kerncast_error kerncast_error;         /*!< what failed, in words */
typedef struct kerncast_options kerncast_options;     /*!< the options of a runtime to be made */
typedef struct kerncast_runtime kerncast_runtime;     /*!< the dispatcher with its cache */
typedef struct kerncast_op kerncast_op;               /*!< an op of the registry */
typedef struct kerncast_arguments kerncast_arguments; /*!< the named arguments of a call */
typedef struct kerncast_prepared kerncast_prepared;   /*!< a call that can be repeated */
typedef struct kerncast_report kerncast_report;       /*!< what a preparation or load found */
typedef struct kerncast_bindings kerncast_bindings;   /*!< the arguments that an own op binds */

/* ---- version, errors and texts: these functions cannot fail ---- */

/*! Version of the library, such as "0.1.0". */
KERNCAST_C_API const char* kerncast_version(void);
/*! KERNCAST_C_ABI of the library that the process has loaded. */
KERNCAST_C_API int32_t kerncast_c_abi(void);
/*! Stable name of a status: "ok", "invalid_argument", ...; "unknown" for a number without one. */
KERNCAST_C_API const char* kerncast_status_name(kerncast_status status);

/*! Makes an error for a callback of an own op to hand back. Returns NULL if memory runs out, or for a status
 * of KERNCAST_OK. `message` may be NULL. */
KERNCAST_C_API kerncast_error* kerncast_error_create(kerncast_status status, const char* message);
/*! KERNCAST_OK for NULL. */
KERNCAST_C_API kerncast_status kerncast_error_status(const kerncast_error* error);
/*! What failed, with which values, and what to do: op, specialisation and cause, as kerncast::Error::what()
 * says it. Empty for NULL. It lives as long as the error. */
KERNCAST_C_API const char* kerncast_error_message(const kerncast_error* error);
/*! CUresult of the driver call that failed; 0 if the failure is not the driver's. */
KERNCAST_C_API int32_t kerncast_error_driver_result(const kerncast_error* error);
/*! NULL is allowed. */
KERNCAST_C_API void kerncast_error_free(kerncast_error* error);
/*! Frees a text that a function returned. NULL is allowed. */
KERNCAST_C_API void kerncast_text_free(char* text);

/* ---- options ---- */

/*! Options of a runtime, all unset. An unset option comes from the environment, as kerncast::RuntimeOptions
 * says. */
KERNCAST_C_API kerncast_status kerncast_options_create(kerncast_options** options, kerncast_error** error);
/*! Sets an option by the name that it has in kerncast::RuntimeOptions, from text:
 *  - texts: driver, nvrtc, cache_directory, cache_remote, cache_remote_credentials, cache_trusted_keys,
 *    cache_signing_key, record, metrics_file, trace, nvtx, workers_command (the path of the kerncast
 *    command);
 *  - lists, which each call extends: cache_read_only, cache_owners;
 *  - "true" or "false": cache_remote_read_only, cache_remote_leases, cache_trust, cache_hostname,
 *    programmatic_launch;
 *  - numbers: cache_max_bytes, cache_max_entries, workers_jobs, workers_memory_bytes, workers_timeout_s;
 *  - miss_policy: "compile" or "cache_only". */
KERNCAST_C_API kerncast_status kerncast_options_set(kerncast_options* options, const char* name,
                                                    const char* value, kerncast_error** error);
/*! Kinds of an event, with the numbers of kerncast::KernelEventKind. */
enum {
  KERNCAST_EVENT_MISS = 0,          /*!< a launch needs a kernel that is not in memory */
  KERNCAST_EVENT_COMPILE_BEGIN = 1, /*!< a compile starts */
  KERNCAST_EVENT_COMPILE_END = 2,   /*!< it is over; `error` is empty if it made a kernel */
  KERNCAST_EVENT_LOAD = 3,          /*!< a kernel was loaded into a device */
  KERNCAST_EVENT_REPLACED = 4,      /*!< tuned tunables cannot be had, for the reason in `error` */
  KERNCAST_EVENT_LAUNCH = 5         /*!< a kernel was handed to a stream */
};
/*! An event, as kerncast::KernelEvent describes it. The texts live until the listener returns. */
typedef struct kerncast_event {
  int32_t kind;
  int32_t device; /*!< ordinal; -1 for compiles */
  const char* op;
  const char* spec;
  const char* arch;
  const char* key; /*!< 32 hex digits; empty for misses, replacements and launches */
  const char* error;
  int64_t duration_ns; /*!< of compiles, loads and calls of the driver */
  int64_t rows;        /*!< of replacements and launches */
  uint64_t stage;      /*!< of launches */
  uint32_t grid[3];
  uint32_t block[3];
  kerncast_stream stream;
} kerncast_event;
/*! Receives events from any thread, in the middle of the call that causes them: it must not use the runtime.
 */
typedef void (*kerncast_listener_function)(void* user, const kerncast_event* event);
/*! Sends events to `listener`, or to nobody if it is NULL. Launches are told if `launches` is not 0. `user`
 * must live as long as the runtimes that are made with these options. */
KERNCAST_C_API kerncast_status kerncast_options_set_listener(kerncast_options* options,
                                                             kerncast_listener_function listener, void* user,
                                                             int32_t launches, kerncast_error** error);
/*! Receives each warning once, from any thread. `text` lives until the function returns. */
typedef void (*kerncast_warn_function)(void* user, const char* text);
/*! Sends warnings to `warn`, or to standard error if it is NULL. `user` must live as long as the runtimes
 * that are made with these options. */
KERNCAST_C_API kerncast_status kerncast_options_set_warn(kerncast_options* options,
                                                         kerncast_warn_function warn, void* user,
                                                         kerncast_error** error);
/*! NULL is allowed. */
KERNCAST_C_API void kerncast_options_free(kerncast_options* options);

/* ---- runtimes, devices and the driver ---- */

/*! Makes a runtime. `options` may be NULL and may be freed afterwards. Neither driver nor compiler is loaded.
 */
KERNCAST_C_API kerncast_status kerncast_runtime_create(const kerncast_options* options,
                                                       kerncast_runtime** runtime, kerncast_error** error);
/*! The runtime of the process with default options, which C++ knows as Runtime::instance(). Each call gives a
 * handle of its own, which is freed like any other; the runtime itself stays. */
KERNCAST_C_API kerncast_status kerncast_runtime_instance(kerncast_runtime** runtime, kerncast_error** error);
/*! Frees the handle. The runtime ends with the last handle that was made from it. Kernels of it that are
 * under way must have run by then. NULL is allowed. */
KERNCAST_C_API void kerncast_runtime_free(kerncast_runtime* runtime);

/*! Makes the primary context of device `ordinal` current on this thread, as launching requires. A host that
 * uses the CUDA runtime or a framework has done so already. */
KERNCAST_C_API kerncast_status kerncast_make_current(kerncast_runtime* runtime, int32_t ordinal,
                                                     kerncast_error** error);
/*! Facts of a device by which ops choose tunables and geometry. */
typedef struct kerncast_device_traits {
  int32_t sm;                   /*!< compute capability, major * 10 + minor */
  int32_t sm_count;             /*!< multiprocessors */
  int32_t max_shared_per_block; /*!< bytes */
} kerncast_device_traits;
/*! Facts of device `ordinal`. KERNCAST_INVALID_ARGUMENT if there is no such device. */
KERNCAST_C_API kerncast_status kerncast_device_traits_get(kerncast_runtime* runtime, int32_t ordinal,
                                                          kerncast_device_traits* traits,
                                                          kerncast_error** error);
/*! Architecture of a device, such as "sm_90a". */
KERNCAST_C_API kerncast_status kerncast_device_arch(kerncast_runtime* runtime, int32_t ordinal, char** arch,
                                                    kerncast_error** error);
/*! Address of a Driver API function of the driver in use, by its name in cuda.h ("cuMemAlloc"). NULL is the
 * result if the driver has none of this name. */
KERNCAST_C_API kerncast_status kerncast_driver_symbol(kerncast_runtime* runtime, const char* symbol,
                                                      void** address, kerncast_error** error);
/*! What the driver in use knows of a fault of this thread's context; see Runtime::last_fault(). Empty if
 * there was none. */
KERNCAST_C_API kerncast_status kerncast_last_fault(kerncast_runtime* runtime, char** text,
                                                   kerncast_error** error);
/*! What the cache of a runtime has counted, as text for Prometheus (version 0.0.4). */
KERNCAST_C_API kerncast_status kerncast_cache_metrics(kerncast_runtime* runtime, char** text,
                                                      kerncast_error** error);

/* ---- ops ---- */

/*! The op called `name` ("norm.rms_norm"). It lives as long as the process and is never freed.
 * KERNCAST_NOT_FOUND, which names the nearest op, if there is none. */
KERNCAST_C_API kerncast_status kerncast_op_find(const char* name, const kerncast_op** op,
                                                kerncast_error** error);
/*! The names of all ops in their order, one in each line. */
KERNCAST_C_API kerncast_status kerncast_op_names(char** names, kerncast_error** error);
/*! The name of an op; empty for NULL. It lives as long as the process. */
KERNCAST_C_API const char* kerncast_op_name(const kerncast_op* op);

/* ---- the arguments of a call, by name; `kerncast ops OP` lists what an op takes ---- */

/*! Arguments of a call of `op`, with nothing set. */
KERNCAST_C_API kerncast_status kerncast_arguments_create(const kerncast_op* op,
                                                         kerncast_arguments** arguments,
                                                         kerncast_error** error);
/*! Sets a tensor, of which a view is kept: pointer, dtype, shape and strides are copied, the memory stays the
 * caller's. Setting a name again replaces it. KERNCAST_INVALID_ARGUMENT for memory of the host, for a dtype
 * that the library does not have, and for more than KERNCAST_MAX_RANK dimensions. The name is checked at the
 * call. */
KERNCAST_C_API kerncast_status kerncast_arguments_set_tensor(kerncast_arguments* arguments, const char* name,
                                                             const kerncast_dl_tensor* tensor,
                                                             kerncast_error** error);
/*! Sets a tensor and takes it over on success: its deleter is called when the name is set again or the
 * arguments are freed. The deleter may run while kernels are under way, so its memory must be freed in the
 * order of the stream, or the host synchronises first. */
KERNCAST_C_API kerncast_status kerncast_arguments_set_managed(kerncast_arguments* arguments, const char* name,
                                                              kerncast_dl_managed_tensor* tensor,
                                                              kerncast_error** error);
/*! The same for the managed tensors of DLPack 1. KERNCAST_UNSUPPORTED for another major version. */
KERNCAST_C_API kerncast_status kerncast_arguments_set_managed_versioned(
    kerncast_arguments* arguments, const char* name, kerncast_dl_managed_tensor_versioned* tensor,
    kerncast_error** error);
/*! Sets a run-time scalar, such as eps. */
KERNCAST_C_API kerncast_status kerncast_arguments_set_scalar(kerncast_arguments* arguments, const char* name,
                                                             double value, kerncast_error** error);
/*! Sets a compile-time parameter from text, such as "128", "true" or "fp8_e4m3". */
KERNCAST_C_API kerncast_status kerncast_arguments_set_param(kerncast_arguments* arguments, const char* name,
                                                            const char* value, kerncast_error** error);
/*! NULL is allowed. */
KERNCAST_C_API void kerncast_arguments_free(kerncast_arguments* arguments);

/* ---- launches ---- */

/*! Checks the arguments, also that they are device memory, and launches the op on `stream`; no rows succeed
 * without a launch. The context of the tensors' device must be current. Nothing is enqueued on failure. */
KERNCAST_C_API kerncast_status kerncast_run(kerncast_runtime* runtime, const kerncast_arguments* arguments,
                                            kerncast_stream stream, kerncast_error** error);

/*! Checks the arguments, loads or compiles the kernel and binds it for repeated launches. `tunables` such as
 * "threads=256 rows_per_block=1" win over those tuned and over the op's own; NULL leaves the choice. Whether
 * the memory is device memory is not asked: a pointer that is none is a fault of the kernel. The arguments
 * may be changed and freed afterwards; managed tensors then have to be kept by the host. */
KERNCAST_C_API kerncast_status kerncast_prepare(kerncast_runtime* runtime,
                                                const kerncast_arguments* arguments, const char* tunables,
                                                kerncast_prepared** prepared, kerncast_error** error);
/*! Enqueues a prepared launch. It allocates nothing and takes no lock, so it may be captured. */
KERNCAST_C_API kerncast_status kerncast_prepared_launch(const kerncast_prepared* prepared,
                                                        kerncast_stream stream, kerncast_error** error);
/*! Aims a prepared launch at other memory, scalars or rows. Nothing is looked up, loaded or compiled, so it
 * works during a capture. KERNCAST_INVALID_ARGUMENT, which names the difference, if the arguments need
 * another kernel: another op, specialisation (alignment of pointers included), device or row bucket. The
 * prepared launch is then unchanged. No thread may use it meanwhile. */
KERNCAST_C_API kerncast_status kerncast_prepared_rebind(kerncast_prepared* prepared,
                                                        const kerncast_arguments* arguments,
                                                        kerncast_error** error);
/*! NULL is allowed. */
KERNCAST_C_API void kerncast_prepared_free(kerncast_prepared* prepared);

/* ---- kernels ahead of time, and what is known of them ---- */

/*! Makes the kernel of a call ready on its device without launching it. `tunables` as for kerncast_prepare();
 * `report` may be NULL. */
KERNCAST_C_API kerncast_status kerncast_ensure(kerncast_runtime* runtime, const kerncast_arguments* arguments,
                                               const char* tunables, kerncast_report** report,
                                               kerncast_error** error);
/*! Makes sure that the cache holds the kernel of `op` with `settings` ("x_dtype=bf16 hidden=7168") for `arch`
 * ("sm_100a") and `rows` rows. Needs no device. `tunables` as for kerncast_prepare(); `report` may be NULL.
 */
KERNCAST_C_API kerncast_status kerncast_compile(kerncast_runtime* runtime, const kerncast_op* op,
                                                const char* settings, const char* arch, int64_t rows,
                                                const char* tunables, kerncast_report** report,
                                                kerncast_error** error);
/*! Counts of kerncast_load_all(). */
typedef struct kerncast_load_report {
  uint64_t loaded;    /*!< from the cache */
  uint64_t compiled;  /*!< since the cache did not hold them */
  uint64_t present;   /*!< in memory already */
  uint64_t elsewhere; /*!< for other architectures, and left out */
  uint64_t failed;    /*!< lines of `failures` */
} kerncast_load_report;
/*! Makes every kernel of a file that KERNCAST_RECORD or `kerncast warm --write-record` wrote ready on device
 * `ordinal`. Kernels that fail do not keep the others from being loaded and are no failure of the call:
 * `failures` gets a line for each. `report` and `failures` may be NULL. KERNCAST_IO_ERROR if the file cannot
 * be read or holds no record. */
KERNCAST_C_API kerncast_status kerncast_load_all(kerncast_runtime* runtime, const char* record,
                                                 int32_t ordinal, kerncast_load_report* report,
                                                 char** failures, kerncast_error** error);
/*! From now on nothing is compiled: what is neither in memory nor in the cache is KERNCAST_CACHE_MISS. It
 * cannot be undone. */
KERNCAST_C_API kerncast_status kerncast_seal(kerncast_runtime* runtime, kerncast_error** error);
/*! Looks the kernel up in the cache without compiling. The report is NULL if the cache does not have it. */
KERNCAST_C_API kerncast_status kerncast_cache_find(kerncast_runtime* runtime, const kerncast_op* op,
                                                   const char* settings, const char* arch, int64_t rows,
                                                   const char* tunables, kerncast_report** report,
                                                   kerncast_error** error);
/*! The tunables that launches may use, one combination in each line: those of the tuned store, then the op's
 * own. `sm_count` counts the multiprocessors of the device; 0 means the most common device of `arch`. */
KERNCAST_C_API kerncast_status kerncast_tunables(kerncast_runtime* runtime, const kerncast_op* op,
                                                 const char* settings, const char* arch, int64_t rows,
                                                 int32_t sm_count, char** lines, kerncast_error** error);

/*! A text of a report: op, spec, tunables, tunables_origin ("defaults", "tuned", "given"), tuned_record,
 * arch, key, origin ("memory", "disk", "compiled"), found_in, source, ptx or lowered_name. NULL for another
 * name or a report of NULL. It lives as long as the report. */
KERNCAST_C_API const char* kerncast_report_text(const kerncast_report* report, const char* name);
/*! A number of a report: compile_ms (milliseconds), load_us (microseconds), registers (per thread),
 * spill_store_bytes, spill_load_bytes and local_bytes (per thread), or shared_bytes (per block).
 * -1 for another name or a report of NULL. */
KERNCAST_C_API double kerncast_report_number(const kerncast_report* report, const char* name);
/*! NULL is allowed. */
KERNCAST_C_API void kerncast_report_free(kerncast_report* report);

/* ---- ops of the host's own ---- */

/*! A template file: the name by which it is included, and its text. */
typedef struct kerncast_source {
  const char* name;
  const char* text;
} kerncast_source;

/*! Kinds of a parameter. */
enum {
  KERNCAST_PARAM_INTEGER = 0,
  KERNCAST_PARAM_BOOLEAN = 1,
  KERNCAST_PARAM_DTYPE = 2,
  KERNCAST_PARAM_CHOICE = 3
};

/*! A compile-time parameter, `Config::NAME` in the template, and the constraint on it. */
typedef struct kerncast_param_spec {
  const char* name;
  const char* doc;
  int32_t kind;
  int32_t has_default; /*!< 0: the parameter is required */
  int32_t default_value;
  int32_t minimum; /*!< integers: inclusive bounds */
  int32_t maximum;
  int32_t multiple_of;    /*!< 0 means 1 */
  const int32_t* allowed; /*!< the only valid integers or dtypes; NULL: no such list */
  size_t allowed_count;
  const char* const* choices; /*!< names of the values of a choice */
  size_t choice_count;
} kerncast_param_spec;

/*! A tunable, `Config::NAME` in the template: a constant that changes speed and never a result. */
typedef struct kerncast_tunable_spec {
  const char* name;
  const char* doc;
  const int32_t* choices; /*!< the only valid values; NULL: those of the range */
  size_t choice_count;
  int32_t minimum; /*!< inclusive bounds of the range */
  int32_t maximum;
  int32_t multiple_of;   /*!< 0 means 1 */
  int32_t default_value; /*!< the op's own choice unless it has a function for it */
} kerncast_tunable_spec;

/*! Directions of a tensor. */
enum { KERNCAST_IN = 0, KERNCAST_OUT = 1, KERNCAST_INOUT = 2 };

/*! A tensor argument. */
typedef struct kerncast_tensor_spec {
  const char* name;
  const char* doc;
  int32_t direction;
  int32_t optional;
} kerncast_tensor_spec;

/*! A run-time scalar argument. */
typedef struct kerncast_scalar_spec {
  const char* name;
  const char* doc;
  double default_value;
} kerncast_scalar_spec;

/*! Grid and block of a launch. A grid of 0 blocks launches nothing. */
typedef struct kerncast_geometry {
  uint32_t grid[3];
  uint32_t block[3];
  uint32_t dynamic_shared; /*!< bytes */
} kerncast_geometry;

/*! A checked call, which the bind function of an own op fills. */
typedef struct kerncast_call {
  int32_t spec[KERNCAST_MAX_PARAMS]; /*!< values of the parameters in their order */
  int64_t rows;                      /*!< extent that geometry and tuning depend on; 0: nothing to launch */
  uint32_t argument_bytes;           /*!< bytes of `arguments` in use */
  uint32_t reserved;
  unsigned char arguments[KERNCAST_MAX_ARGUMENT_BYTES]; /*!< the kernel's one by-value struct */
} kerncast_call;

/*! A tensor as a bind function sees it. Shape and strides are in elements. */
typedef struct kerncast_tensor_view {
  void* data;
  int32_t dtype; /*!< KERNCAST_F32, ... */
  int32_t rank;
  int32_t device;
  int32_t reserved;
  int64_t shape[KERNCAST_MAX_RANK];
  int64_t strides[KERNCAST_MAX_RANK];
} kerncast_tensor_view;

/*! The tensor called `name`. KERNCAST_INVALID_ARGUMENT, which names the op, if the call has none. */
KERNCAST_C_API kerncast_status kerncast_bindings_tensor(const kerncast_bindings* bindings, const char* name,
                                                        kerncast_tensor_view* view, kerncast_error** error);
/*! The scalar called `name`, or the default of its specification if the call has none. */
KERNCAST_C_API kerncast_status kerncast_bindings_scalar(const kerncast_bindings* bindings, const char* name,
                                                        double* value, kerncast_error** error);
/*! The setting called `name` as text; NULL if the call has none. It lives until the bind function returns. */
KERNCAST_C_API const char* kerncast_bindings_param(const kerncast_bindings* bindings, const char* name);

/*! The functions of an own op. Each may run on several threads at once. `user` is that of the definition.
 * None may throw, longjmp or end the thread.
 *
 * Bind checks tensors and scalars and fills `call`, which is zero before. All tensors are on one device. It
 * returns a status, and on failure may hand back an error of kerncast_error_create(). */
typedef kerncast_status (*kerncast_bind_function)(void* user, const kerncast_bindings* bindings,
                                                  kerncast_call* call, kerncast_error** error);
/*! Grid and block of stage `stage`, 0 for the first kernel. On the hot path: it should not allocate or lock.
 * `spec` and `tunables` have the values in the order of the definition. `geometry` is zero before. */
typedef void (*kerncast_geometry_function)(void* user, int32_t stage, const int32_t* spec,
                                           const int32_t* tunables, const kerncast_device_traits* traits,
                                           int64_t rows, kerncast_geometry* geometry);
/*! Chooses the tunables of a call if none were tuned. Deterministic. `tunables` has the default values
 * before. */
typedef void (*kerncast_default_tunables_function)(void* user, const int32_t* spec,
                                                   const kerncast_device_traits* traits, int64_t rows,
                                                   int32_t* tunables);
/*! The reason why values, each valid, do not go together; NULL if they do. The text lives as long as the
 * process. */
typedef const char* (*kerncast_spec_defect_function)(void* user, const int32_t* spec);
/*! The same for the tunables of a parameter set on a device. */
typedef const char* (*kerncast_tunables_defect_function)(void* user, const int32_t* spec,
                                                         const int32_t* tunables,
                                                         const kerncast_device_traits* traits);

/*! An op of the host's own, as kerncast::OpDefinition describes one. Lists may be NULL if their count is 0.
 */
typedef struct kerncast_op_definition {
  size_t struct_size; /*!< sizeof(kerncast_op_definition); an older one without the last members is taken */
  const char* name;   /*!< "family.op" */
  const char* summary;
  const char* formula;
  const char* include; /*!< the template file with the kernels */
  const char* kernel;  /*!< qualified name of the `template <class Config> __global__` function */
  const char* const* later_kernels; /*!< kernels that are launched after it, at most two */
  size_t later_kernel_count;
  const char* arguments_type; /*!< qualified name of the kernels' by-value argument struct */
  const kerncast_source* sources;
  size_t source_count;
  const kerncast_param_spec* params;
  size_t param_count;
  const kerncast_tunable_spec* tunables;
  size_t tunable_count;
  const kerncast_tensor_spec* tensors;
  size_t tensor_count;
  const kerncast_scalar_spec* scalars;
  size_t scalar_count;
  void* user; /*!< handed to the functions; must live as long as the process */
  kerncast_bind_function bind;
  kerncast_geometry_function geometry;
  kerncast_default_tunables_function default_tunables; /*!< NULL: the tunables' default values */
  kerncast_spec_defect_function spec_defect;           /*!< NULL: the parameters' own constraints suffice */
  kerncast_tunables_defect_function tunables_defect;   /*!< NULL: the tunables' own constraints suffice */
  int32_t waits_for_primary; /*!< not 0: each kernel's first statement is kerncast::begin_kernel(), so it may
                                  start before the kernel ahead of it in the stream ends; 0: it may not */
  int32_t reserved;          /*!< 0 */
} kerncast_op_definition;

/*! Registers an op, which then lives as long as the process, and which C++ finds by name too. The definition,
 * its lists and texts are copied; the functions must stay loaded. `op` may be NULL. KERNCAST_INVALID_ARGUMENT
 * if the name is taken or the definition is incomplete, KERNCAST_UNSUPPORTED past 64 ops registered from C.
 */
KERNCAST_C_API kerncast_status kerncast_op_register(const kerncast_op_definition* definition,
                                                    const kerncast_op** op, kerncast_error** error);

#ifdef __cplusplus
}
#endif

#endif
