# The Driver API front end of the virtual GPU, for the shared library declared after this.
set(KERNCAST_SIM_DRIVER_SOURCES
  driver_capture.cpp
  driver_context.cpp
  driver_context_state.cpp
  driver_copy.cpp
  driver_device.cpp
  driver_device_query.cpp
  driver_event.cpp
  driver_failure.cpp
  driver_function.cpp
  driver_graph.cpp
  driver_graph_build.cpp
  driver_graph_exec.cpp
  driver_graph_memory.cpp
  driver_graph_node.cpp
  driver_image.cpp
  driver_ipc.cpp
  driver_launch.cpp
  driver_leaks.cpp
  driver_library.cpp
  driver_memory.cpp
  driver_memory_hint.cpp
  driver_memory_op.cpp
  driver_module.cpp
  driver_occupancy.cpp
  driver_pointer.cpp
  driver_pool.cpp
  driver_proc_address.cpp
  driver_profile.cpp
  driver_scheduler.cpp
  driver_state.cpp
  driver_stream.cpp
  driver_transfer.cpp
  driver_user_object.cpp)
# Threads run in the library until the process ends, so it must never be unmapped.
add_link_options(-Wl,-z,nodelete -Wl,--version-script=${CMAKE_CURRENT_LIST_DIR}/driver_exports.map)
