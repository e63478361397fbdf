# Imported targets: Debian packages by pkg-config or their CMake files, LibTorch by its libraries.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(package IN ITEMS libzstd zlib liblzma libpcre2-8 libutf8proc libxxhash tomlplusplus nlohmann_json CLI11 spdlog)
  pkg_check_modules(${package} REQUIRED IMPORTED_TARGET ${package})
endforeach()
include(MythosSentencePiece)
if(MYTHOS_TESTS)
  find_package(GTest)
  if(NOT GTest_FOUND)
    message(FATAL_ERROR "The tests need GoogleTest. Run ./bootstrap --tests, or leave them out with -DMYTHOS_TESTS=OFF.")
  endif()
  include(GoogleTest)
endif()

# Arrow C++ with Parquet, from the pyarrow wheel. Only a shared object that is opened at need links it.
file(REAL_PATH ${PROJECT_SOURCE_DIR}/.deps/pyarrow ARROW_ROOT)
file(GLOB ARROW_LIBRARIES ${ARROW_ROOT}/libarrow.so.[0-9]* ${ARROW_ROOT}/libparquet.so.[0-9]*)
if(ARROW_LIBRARIES AND EXISTS ${ARROW_ROOT}/include/parquet/file_reader.h)
  add_library(mythos_arrow INTERFACE)
  target_include_directories(mythos_arrow SYSTEM INTERFACE ${ARROW_ROOT}/include)
  target_link_libraries(mythos_arrow INTERFACE ${ARROW_LIBRARIES})
  message(STATUS "Parquet: by Arrow in ${ARROW_ROOT}")
else()
  message(STATUS "Parquet: no (./bootstrap brings Arrow)")
endif()

if(NOT MYTHOS_TORCH)
  return()
endif()

# The line editor of 'mythos generate'.
pkg_check_modules(libedit REQUIRED IMPORTED_TARGET libedit)

# LibTorch. Its own TorchConfig.cmake asks for a CUDA toolkit of the wheel's version; the libraries
# do not need one, so they are linked directly. libtorch_cuda is loaded at run time, only when a
# CUDA device is used: processes on a CPU start faster, and binaries run without a driver.
if(NOT TORCH_DIR)
  set(TORCH_DIR ${PROJECT_SOURCE_DIR}/.deps/torch)
endif()
file(REAL_PATH ${TORCH_DIR} TORCH_ROOT)
if(NOT EXISTS ${TORCH_ROOT}/lib/libtorch_cpu.so)
  message(FATAL_ERROR
    "No LibTorch at ${TORCH_DIR} (expected lib/libtorch_cpu.so there). "
    "Run ./bootstrap, or name one with -DTORCH_DIR=DIR; -DMYTHOS_TORCH=OFF builds without.")
endif()
file(STRINGS ${TORCH_ROOT}/include/torch/headeronly/version.h TORCH_VERSION_LINES REGEX "TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3" TORCH_VERSION "${TORCH_VERSION_LINES}")
if(TORCH_VERSION VERSION_LESS 2.9)
  message(FATAL_ERROR "LibTorch ${TORCH_VERSION} at ${TORCH_DIR} is too old; 2.9 or later is needed.")
endif()
message(STATUS "LibTorch ${TORCH_VERSION}: ${TORCH_ROOT}")

# The wheel set keeps the CUDA libraries beside torch; a zip distribution has them in lib/.
file(GLOB TORCH_CUDA_LIB_DIRS ${TORCH_ROOT}/../nvidia/*/lib)
add_library(mythos_torch INTERFACE)
target_include_directories(mythos_torch SYSTEM INTERFACE
  ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include)
target_link_libraries(mythos_torch INTERFACE
  ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(mythos_torch INTERFACE -Wl,--allow-shlib-undefined)
foreach(dir IN LISTS TORCH_CUDA_LIB_DIRS)
  target_link_options(mythos_torch INTERFACE -Wl,-rpath-link,${dir})
endforeach()
target_compile_options(mythos_torch INTERFACE -fopenmp)
target_link_options(mythos_torch INTERFACE -fopenmp)

if(MYTHOS_CUDA STREQUAL "OFF")
  set(MYTHOS_HAVE_CUDA OFF)
else()
  include(CheckLanguage)
  if(NOT CMAKE_CUDA_COMPILER AND EXISTS /usr/local/cuda/bin/nvcc)
    set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
  endif()
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90)
    endif()
    enable_language(CUDA)
    set(CMAKE_CUDA_STANDARD 17)
    set(MYTHOS_HAVE_CUDA ON)
  elseif(MYTHOS_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MYTHOS_CUDA=ON, but no nvcc was found. Put it on PATH or set CMAKE_CUDA_COMPILER.")
  else()
    set(MYTHOS_HAVE_CUDA OFF)
  endif()
endif()
message(STATUS "CUDA kernels: ${MYTHOS_HAVE_CUDA}")
