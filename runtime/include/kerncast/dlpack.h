#ifndef KERNCAST_DLPACK_H
#define KERNCAST_DLPACK_H

#include <stdint.h>

/*! \file
 * The structs of the DLPack specification by which tensors reach the C API (https://dmlc.github.io/dlpack).
 *
 * If the host has included its own dlpack.h before this header, the names below are other names of its types.
 * If it includes its dlpack.h afterwards or has none, they are types of the same layout, and a pointer to a
 * DLTensor is cast. No name clashes in either order.
 */

/*! Values of kerncast_dl_data_type::code. An unsigned byte may also be a KERNCAST_DL_BOOL. */
enum {
  KERNCAST_DL_INT = 0,
  KERNCAST_DL_UINT = 1,
  KERNCAST_DL_FLOAT = 2,
  KERNCAST_DL_BFLOAT = 4,
  KERNCAST_DL_BOOL = 6,
  KERNCAST_DL_FLOAT8_E4M3FN = 10,
  KERNCAST_DL_FLOAT8_E5M2 = 12,
  KERNCAST_DL_FLOAT8_E8M0FNU = 14
};

/*! Values of kerncast_dl_device::device_type that the library takes. */
enum { KERNCAST_DL_CUDA = 2, KERNCAST_DL_CUDA_MANAGED = 13 };

#ifdef DLPACK_DLPACK_H_

typedef DLDevice kerncast_dl_device;
typedef DLDataType kerncast_dl_data_type;
typedef DLTensor kerncast_dl_tensor;
typedef DLManagedTensor kerncast_dl_managed_tensor;

#else

/*! A device: its kind and its ordinal. */
typedef struct kerncast_dl_device {
  int32_t device_type;
  int32_t device_id;
} kerncast_dl_device;

/*! An element type: code, bits of a lane, and lanes. The library takes one lane only. */
typedef struct kerncast_dl_data_type {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} kerncast_dl_data_type;

/*! A view of memory that it does not own. Shape and strides are in elements; strides may be NULL for a
 * row-major tensor. The first element is byte_offset bytes behind data. */
typedef struct kerncast_dl_tensor {
  void* data;
  kerncast_dl_device device;
  int32_t ndim;
  kerncast_dl_data_type dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} kerncast_dl_tensor;

/*! A tensor with its owner, who gets it back by a call of the deleter, which may be NULL. */
typedef struct kerncast_dl_managed_tensor {
  kerncast_dl_tensor dl_tensor;
  void* manager_ctx;
  void (*deleter)(struct kerncast_dl_managed_tensor* self);
} kerncast_dl_managed_tensor;

#endif

#if defined(DLPACK_DLPACK_H_) && defined(DLPACK_MAJOR_VERSION) && DLPACK_MAJOR_VERSION >= 1

typedef DLPackVersion kerncast_dl_version;
typedef DLManagedTensorVersioned kerncast_dl_managed_tensor_versioned;

#else

/*! The version of DLPack that a producer filled a struct by. */
typedef struct kerncast_dl_version {
  uint32_t major;
  uint32_t minor;
} kerncast_dl_version;

/*! A managed tensor since DLPack 1.0. The library takes major version 1; flags are not looked at. */
typedef struct kerncast_dl_managed_tensor_versioned {
  kerncast_dl_version version;
  void* manager_ctx;
  void (*deleter)(struct kerncast_dl_managed_tensor_versioned* self);
  uint64_t flags;
  kerncast_dl_tensor dl_tensor;
} kerncast_dl_managed_tensor_versioned;

#endif

#endif
