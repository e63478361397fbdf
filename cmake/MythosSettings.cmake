# Compiler settings that hold for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

include(GNUInstallDirs)
set(MYTHOS_LIBEXEC ${CMAKE_INSTALL_LIBEXECDIR}/mythos)
set(MYTHOS_PRESETS ${CMAKE_INSTALL_DATADIR}/mythos/presets)

add_library(mythos_settings INTERFACE)
target_include_directories(mythos_settings INTERFACE ${PROJECT_SOURCE_DIR}/lib)
target_compile_options(mythos_settings INTERFACE -Wall -Wextra -Wno-unused-parameter -Wno-restrict)
if(MYTHOS_SANITIZE)
  target_compile_options(mythos_settings INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mythos_settings INTERFACE -fsanitize=address,undefined)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()
