# mythos_library(NAME SOURCES … [LINK …] [TORCH])      static library mythos::NAME of lib/NAME
# mythos_command(NAME [LINK …] [TORCH])                 cmd/mythos-NAME.cc → bin/mythos-NAME, installed
# mythos_install(TARGET DESTINATION)                    a program or plug-in, with its libraries noted for packages
# mythos_test(NAME SOURCES … [LINK …] [TORCH] [CPU_ALONE])  GoogleTest binary bin/tests/NAME, found by ctest: a process
#                                                       for each case, and one for all that a CUDA device is for
#
# TORCH marks a target of the LibTorch half: it is left out of a build with MYTHOS_TORCH=OFF. Libraries and tests
# of that half share one precompiled header, and mains another.

# Lets a target share a precompiled header, mythos_NAME_pch, which is made of the given headers at first use.
function(mythos_share_pch target name)
  cmake_parse_arguments(ARG "" "" "HEADERS;LINK;OPTIONS" ${ARGN})
  set(pch mythos_${name}_pch)
  if(NOT TARGET ${pch})
    file(WRITE ${CMAKE_BINARY_DIR}/pch/${name}.cc "")
    add_library(${pch} OBJECT ${CMAKE_BINARY_DIR}/pch/${name}.cc)
    target_link_libraries(${pch} PRIVATE mythos_settings ${ARG_LINK})
    target_compile_options(${pch} PRIVATE ${ARG_OPTIONS})
    target_precompile_headers(${pch} PRIVATE ${ARG_HEADERS})
    if(CCACHE)
      target_compile_options(${pch} PRIVATE -fpch-preprocess)
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM ${pch})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    # The header was compiled with -fPIC; g++ refuses it to a file compiled with -fPIE.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  target_compile_options(${target} PRIVATE ${ARG_OPTIONS})
  if(CCACHE)
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
endfunction()

function(mythos_use_torch target)
  target_link_libraries(${target} PRIVATE mythos_torch)
  mythos_share_pch(${target} torch LINK mythos_torch
    HEADERS <ATen/ATen.h> <ATen/core/grad_mode.h> <string> <vector> <map> <memory> <functional>)
endfunction()

# A program's main: options in, library call, result out. Half of compiling it would be optimising CLI11.
function(mythos_main target)
  cmake_parse_arguments(ARG "TORCH" "" "" ${ARGN})
  set(headers <CLI/CLI.hpp> <nlohmann/json.hpp>)
  if(ARG_TORCH)
    target_link_libraries(${target} PRIVATE mythos_torch)
    mythos_share_pch(${target} torch_main LINK mythos_torch PkgConfig::CLI11 PkgConfig::nlohmann_json
      HEADERS ${headers} <ATen/core/Tensor.h> OPTIONS -O1)
  else()
    mythos_share_pch(${target} main LINK PkgConfig::CLI11 PkgConfig::nlohmann_json HEADERS ${headers} OPTIONS -O1)
  endif()
endfunction()

function(mythos_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;LINK" ${ARGN})
  if(ARG_TORCH AND NOT MYTHOS_TORCH)
    return()
  endif()
  add_library(mythos_${name} STATIC ${ARG_SOURCES})
  add_library(mythos::${name} ALIAS mythos_${name})
  target_link_libraries(mythos_${name} PUBLIC mythos_settings ${ARG_LINK})
  if(MYTHOS_UNITY)
    # What is private to a source then lies in an included file, of which g++ warns.
    set_target_properties(mythos_${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
    target_compile_options(mythos_${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
  if(ARG_TORCH)
    target_link_libraries(mythos_${name} PUBLIC mythos_torch)
    mythos_use_torch(mythos_${name})
  endif()
endfunction()

function(mythos_install target destination)
  install(TARGETS ${target} RUNTIME_DEPENDENCY_SET mythos_needs
    RUNTIME DESTINATION ${destination} LIBRARY DESTINATION ${destination})
  file(RELATIVE_PATH libraries /${destination} /${MYTHOS_PLUGINS})
  set_property(TARGET ${target} PROPERTY INSTALL_RPATH "$ORIGIN/${libraries}")
endfunction()

function(mythos_command name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK" ${ARGN})
  if(ARG_TORCH AND NOT MYTHOS_TORCH)
    return()
  endif()
  add_executable(mythos-${name} mythos-${name}.cc)
  target_link_libraries(mythos-${name} PRIVATE mythos::base ${ARG_LINK})
  if(ARG_TORCH)
    mythos_main(mythos-${name} TORCH)
  else()
    mythos_main(mythos-${name})
  endif()
  mythos_install(mythos-${name} ${MYTHOS_LIBEXEC})
endfunction()

# Has a test program resolve the device before its first test.
function(mythos_test_device target)
  if(NOT TARGET mythos_device_environment)
    add_library(mythos_device_environment OBJECT ${PROJECT_SOURCE_DIR}/tests/device_environment.cc)
    target_link_libraries(mythos_device_environment PUBLIC mythos::device GTest::gtest)
    mythos_use_torch(mythos_device_environment)
  endif()
  target_link_libraries(${target} PRIVATE mythos_device_environment)
endfunction()

function(mythos_test name)
  cmake_parse_arguments(ARG "TORCH;CPU_ALONE" "" "SOURCES;LINK" ${ARGN})
  if(ARG_TORCH AND NOT MYTHOS_TORCH)
    return()
  endif()
  set(cuda "*/cuda_*:*/cuda")  # the names of such cases
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    MYTHOS_SOURCE_DIR="${PROJECT_SOURCE_DIR}" MYTHOS_BINARY_DIR="${CMAKE_BINARY_DIR}")
  if(ARG_TORCH)
    mythos_use_torch(${name})
    mythos_test_device(${name})
    if(NOT ARG_CPU_ALONE)
      add_test(NAME ${name}/cuda
        COMMAND sh ${PROJECT_SOURCE_DIR}/tests/cuda_cases.sh $<TARGET_FILE:${name}> ${cuda})
      set_tests_properties(${name}/cuda PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800)
    endif()
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${name}/" DISCOVERY_MODE PRE_TEST
    TEST_FILTER "-${cuda}" PROPERTIES TIMEOUT 300)
endfunction()
