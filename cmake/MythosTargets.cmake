# mythos_library(NAME SOURCES … [LINK …] [TORCH])      static library mythos::NAME of lib/NAME
# mythos_command(NAME [LINK …] [TORCH])                 cmd/mythos-NAME.cc → bin/mythos-NAME, installed
# mythos_test(NAME SOURCES … [LINK …] [TORCH])          GoogleTest binary bin/tests/NAME, found by ctest
#
# TORCH marks a target of the LibTorch half: it shares one precompiled header and is left out of a
# build with MYTHOS_TORCH=OFF.

function(mythos_use_torch target)
  target_link_libraries(${target} PRIVATE mythos_torch)
  if(NOT TARGET mythos_pch)
    file(WRITE ${CMAKE_BINARY_DIR}/pch/torch_pch.cc "")
    add_library(mythos_pch OBJECT ${CMAKE_BINARY_DIR}/pch/torch_pch.cc)
    target_link_libraries(mythos_pch PRIVATE mythos_settings mythos_torch)
    target_precompile_headers(mythos_pch PRIVATE
      <torch/types.h> <torch/autograd.h> <ATen/ATen.h> <string> <vector> <map> <memory> <functional>)
    if(CCACHE)
      target_compile_options(mythos_pch PRIVATE -fpch-preprocess)
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM mythos_pch)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    # The header was compiled with -fPIC; g++ refuses it to a file compiled with -fPIE.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  if(CCACHE)
    target_compile_options(${target} PRIVATE -fpch-preprocess)
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
  if(ARG_TORCH)
    target_link_libraries(mythos_${name} PUBLIC mythos_torch)
    mythos_use_torch(mythos_${name})
  endif()
endfunction()

function(mythos_command name)
  cmake_parse_arguments(ARG "TORCH" "" "LINK" ${ARGN})
  if(ARG_TORCH AND NOT MYTHOS_TORCH)
    return()
  endif()
  add_executable(mythos-${name} mythos-${name}.cc)
  target_link_libraries(mythos-${name} PRIVATE mythos::base ${ARG_LINK})
  if(ARG_TORCH)
    mythos_use_torch(mythos-${name})
  endif()
  install(TARGETS mythos-${name} RUNTIME DESTINATION ${MYTHOS_LIBEXEC})
endfunction()

function(mythos_test name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;LINK" ${ARGN})
  if(ARG_TORCH AND NOT MYTHOS_TORCH)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    MYTHOS_SOURCE_DIR="${PROJECT_SOURCE_DIR}" MYTHOS_BINARY_DIR="${CMAKE_BINARY_DIR}")
  if(ARG_TORCH)
    mythos_use_torch(${name})
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${name}/" DISCOVERY_MODE PRE_TEST
    PROPERTIES TIMEOUT 300)
endfunction()
