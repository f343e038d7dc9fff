set(work ${BUILD}/install-test)
file(REMOVE_RECURSE ${work})
if(SANITIZE)
  string(APPEND FLAGS " -fsanitize=${SANITIZE}")
endif()

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "failed (${result}): ${ARGN}\n${output}")
  endif()
  message(STATUS "${output}")
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
# Every public header must stand alone.
file(GLOB_RECURSE headers RELATIVE ${work}/prefix/include ${work}/prefix/include/*.hpp)
foreach(header IN LISTS headers)
  file(WRITE ${work}/header.cpp "#include <${header}>\n")
  separate_arguments(flag_list UNIX_COMMAND "${FLAGS}")
  run(${CXX} ${flag_list} -std=c++20 -Wall -Wextra -Werror -I${work}/prefix/include -fsyntax-only ${work}/header.cpp)
endforeach()
run(${CMAKE_COMMAND} -S ${SOURCE} -B ${work}/build -DCMAKE_PREFIX_PATH=${work}/prefix -DCMAKE_CXX_COMPILER=${CXX}
  -DCMAKE_C_COMPILER=${C} -DCMAKE_CXX_FLAGS=${FLAGS} -DCMAKE_EXE_LINKER_FLAGS=${LINK_FLAGS})
run(${CMAKE_COMMAND} --build ${work}/build)
# Without the virtual GPU there may be no device to run on.
if(RUN)
  run(${CMAKE_COMMAND} -E env KERNCAST_CACHE_DIR=${work}/cache ${work}/build/embed)
endif()
