# Installs BUILD into a prefix and builds hosts against it as users do. Every step ends the script if it fails.
set(work ${BUILD}/install-test)
set(prefix ${work}/prefix)
set(embed ${SOURCE}/examples/embed)
file(REMOVE_RECURSE ${work})
if(SANITIZE)
  string(APPEND FLAGS " -fsanitize=${SANITIZE}")
  set(C_FLAGS "-fsanitize=${SANITIZE}")
endif()
separate_arguments(flag_list UNIX_COMMAND "${FLAGS}")
separate_arguments(link_flag_list UNIX_COMMAND "${LINK_FLAGS}")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGN}\n${output}")
  endif()
  message(STATUS "${output}")
endfunction()

# Configures the project `source` in `folder` with this build's compiler.
function(configure source folder)
  run(${CMAKE_COMMAND} -S ${source} -B ${folder} -G ${GENERATOR} -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM}
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_C_COMPILER=${C} -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_C_FLAGS=${C_FLAGS}
    -DCMAKE_EXE_LINKER_FLAGS=${LINK_FLAGS} -DCMAKE_SHARED_LINKER_FLAGS=${LINK_FLAGS} ${ARGN})
endfunction()

# Runs a host with an empty cache, so that it has to compile. Without the virtual GPU there may be no device to run on.
function(run_host)
  if(RUN)
    file(REMOVE_RECURSE ${work}/cache)
    run(${CMAKE_COMMAND} -E env KERNCAST_CACHE_DIR=${work}/cache ${ARGN})
  endif()
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
file(GLOB_RECURSE pkgconfig_file ${prefix}/kerncast.pc)
cmake_path(GET pkgconfig_file PARENT_PATH pkgconfig_dir)
cmake_path(GET pkgconfig_dir PARENT_PATH libdir)
set(libraries libkerncast.a libkerncast.so)
if(REMOTE)
  list(APPEND libraries libkerncast-remote.so)
endif()
foreach(library IN LISTS libraries)
  if(NOT EXISTS ${libdir}/${library})
    message(FATAL_ERROR "${library} is not installed")
  endif()
endforeach()

# The shared library offers nothing but names of its namespace and the C API, each with a version.
find_program(nm nm REQUIRED)
execute_process(COMMAND ${nm} --dynamic --defined-only --with-symbol-versions ${libdir}/libkerncast.so
  OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE "[0-9a-f]+ [A-Za-z] _Z(N|NK|TIN|TSN|TVN)8kerncast[^\n]*@@KERNCAST_[0-9.]+\n" "" foreign "${symbols}")
string(REGEX REPLACE "[0-9a-f]+ T kerncast_[a-z_]+@@KERNCAST_C_1\n" "" foreign "${foreign}")
string(REGEX REPLACE "[0-9a-f]+ A KERNCAST_[0-9C_.]+[^\n]*\n" "" foreign "${foreign}")
if(symbols STREQUAL foreign OR NOT foreign STREQUAL "")
  message(FATAL_ERROR "libkerncast.so offers names without a version, or not of its own:\n${foreign}")
endif()

# Every public header must compile alone.
file(GLOB_RECURSE headers RELATIVE ${prefix}/include ${prefix}/include/*.hpp ${prefix}/include/*.h)
foreach(header IN LISTS headers)
  file(WRITE ${work}/header.cpp "#include <${header}>\n")
  run(${CXX} ${flag_list} -std=c++20 -Wall -Wextra -Werror -I${prefix}/include -fsyntax-only ${work}/header.cpp)
endforeach()

# The shared library, on a machine that has neither pkg-config nor the packages the library itself is built with.
configure(${embed} ${work}/shared -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_SQLite3=ON -DCMAKE_DISABLE_FIND_PACKAGE_Threads=ON -DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON)
run(${CMAKE_COMMAND} --build ${work}/shared)
run_host(${work}/shared/embed)

# The other examples, on two devices of the virtual GPU.
configure(${SOURCE}/examples ${work}/examples -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build ${work}/examples)
foreach(example IN ITEMS by_name graph_capture decode_loop custom_op several_devices tensor_parallel embed_c custom_op_c)
  run_host(KERNCAST_SIM_DEVICES=2 ${work}/examples/${example})
endforeach()

# The static library.
file(COPY ${SOURCE}/tests/install/host ${embed}/main.cpp DESTINATION ${work})
file(RENAME ${work}/main.cpp ${work}/host/main.cpp)
configure(${work}/host ${work}/static -DCMAKE_PREFIX_PATH=${prefix})
run(${CMAKE_COMMAND} --build ${work}/static)
# It does not know the prefix, so it is told where the virtual GPU and a wheel of NVRTC lie.
set(places KERNCAST_DRIVER=${libdir}/libkerncast-sim.so)
if(EXISTS ${libdir}/kerncast/nvrtc)
  list(APPEND places KERNCAST_NVRTC=${libdir}/kerncast/nvrtc)
endif()
run_host(${places} ${work}/static/host)

# pkg-config, which must not look for the .pc file of any other package.
find_program(pkg_config pkg-config)
if(pkg_config)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pkgconfig_dir} PKG_CONFIG_LIBDIR=${work}/none
      ${pkg_config} --cflags --libs kerncast
    OUTPUT_VARIABLE pkgconfig_flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(pkgconfig_flags UNIX_COMMAND "${pkgconfig_flags}")
  run(${CXX} ${flag_list} -std=c++20 ${embed}/main.cpp ${pkgconfig_flags} ${link_flag_list} -Wl,-rpath,${libdir}
    -o ${work}/pkgconfig_host)
  run_host(${work}/pkgconfig_host)
  separate_arguments(c_flag_list UNIX_COMMAND "${C_FLAGS}")
  run(${C} ${c_flag_list} -std=c99 ${SOURCE}/examples/embed_c/main.c ${pkgconfig_flags} -lm -Wl,-rpath,${libdir}
    -o ${work}/pkgconfig_c_host)
  run_host(${work}/pkgconfig_c_host)
endif()

# add_subdirectory: the targets exist, warnings are no errors, and no tests are built. To build the whole library once more
# would take minutes, so only the host's own file is compiled; the rest of the build graph is checked by a dry run.
if(GENERATOR STREQUAL Ninja)
  configure(${work}/host ${work}/subdirectory -DKERNCAST_SOURCE=${SOURCE} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON)
  file(READ ${work}/subdirectory/compile_commands.json commands)
  if(commands MATCHES "-Werror" OR commands MATCHES "/tests/[a-z]+/[a-z_]+\\.cpp\"")
    message(FATAL_ERROR "a subdirectory build has -Werror or tests by default")
  endif()
  run(${MAKE_PROGRAM} -C ${work}/subdirectory CMakeFiles/host.dir/main.cpp.o)
  run(${MAKE_PROGRAM} -C ${work}/subdirectory -n host)
endif()

# NVRTC is found in the prefix, in a virtual environment, and in the Python on PATH.
file(GLOB nvrtc ${BUILD}/nvrtc/nvidia/*/lib/libnvrtc.so.1? $ENV{CUDA_HOME}/lib64/libnvrtc.so.1?
  /usr/local/cuda/lib64/libnvrtc.so.1?)
if(RUN AND nvrtc AND NOT EXISTS /usr/local/lib/kerncast)
  list(GET nvrtc 0 nvrtc)
  cmake_path(GET nvrtc PARENT_PATH nvrtc)
  set(installed ${libdir}/kerncast/nvrtc)
  set(packages lib/python3.99/site-packages/nvidia/cu13)
  file(REMOVE_RECURSE ${installed} ${work}/cache)
  set(environment --unset=VIRTUAL_ENV --unset=CONDA_PREFIX KERNCAST_NVRTC=wheel PATH=${work}/empty HOME=${work})
  execute_process(COMMAND ${CMAKE_COMMAND} -E env ${environment} KERNCAST_CACHE_DIR=${work}/cache ${work}/shared/embed
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  string(FIND "${output}" "${installed}" named)
  if(result EQUAL 0 OR named EQUAL -1)
    message(FATAL_ERROR "a missing NVRTC is no error that names the places searched (${result}):\n${output}")
  endif()
  file(MAKE_DIRECTORY ${libdir}/kerncast ${work}/python/bin ${work}/venv/${packages} ${work}/python/${packages})
  file(WRITE ${work}/python/bin/python3 "")
  file(CREATE_LINK ${nvrtc} ${installed} SYMBOLIC)
  run_host(${environment} ${work}/shared/embed)
  file(REMOVE ${installed})
  file(CREATE_LINK ${nvrtc} ${work}/venv/${packages}/lib SYMBOLIC)
  run_host(${environment} VIRTUAL_ENV=${work}/venv ${work}/shared/embed)
  file(CREATE_LINK ${nvrtc} ${work}/python/${packages}/lib SYMBOLIC)
  run_host(${environment} PATH=${work}/python/bin ${work}/shared/embed)
endif()
