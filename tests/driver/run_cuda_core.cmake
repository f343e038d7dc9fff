# Runs PROGRAM with cuda-core on the virtual GPU of the folder LIBCUDA. The packages are kept in FOLDER, so
# that they are fetched once; where the package index is out of reach the test says so, and is skipped.
set(python ${FOLDER}/venv/bin/python)

execute_process(COMMAND ${python} -c "import cuda.core, cuda.bindings.driver, numpy"
  RESULT_VARIABLE absent OUTPUT_QUIET ERROR_QUIET)
if(absent)
  execute_process(COMMAND ${PYTHON} -c "import ensurepip, venv" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    message("cuda-core cannot be had: this Python makes no virtual environments (Debian's package is python3-venv)")
    return()
  endif()
  file(MAKE_DIRECTORY ${FOLDER})
  execute_process(COMMAND ${PYTHON} -m venv ${FOLDER}/venv RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "no virtual environment of Python in ${FOLDER}")
  endif()
  # cuda.core finds NVRTC as every program does, so none of its compiler packages is needed.
  execute_process(
    COMMAND ${python} -m pip install --quiet --disable-pip-version-check --no-input --retries 1
      "cuda-core>=1,<2" "cuda-bindings>=13,<14" "numpy>=1.26"
    RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(failed)
    message("${said}")
    if(said MATCHES "connection broken|Connection|Could not fetch URL|name resolution|unreachable|timed out")
      message("cuda-core cannot be had: the package index is out of reach")
      return()
    endif()
    message(FATAL_ERROR "pip failed, and not for want of a connection")
  endif()
endif()

# NVRTC: the toolkit's, or the wheel that the build's set-up fetched.
file(GLOB nvrtc_places /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib ${NVRTC}/nvidia/*/lib)
list(JOIN nvrtc_places ":" nvrtc_path)
set(ENV{LD_LIBRARY_PATH} "${LIBCUDA}:$ENV{LD_LIBRARY_PATH}:${nvrtc_path}")
execute_process(COMMAND ${python} ${PROGRAM} RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "cuda.core failed on the virtual GPU: ${failed}")
endif()
