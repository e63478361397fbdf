# Compiler settings that hold for every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
# Installed programs look for libraries in the installed tree, then, but for those of a package, where they were
# linked from. DT_RPATH, unlike the newer DT_RUNPATH, serves what these libraries need in turn as well.
add_link_options(-Wl,--disable-new-dtags)
if(NOT MYTHOS_PACKAGE)
  set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
endif()
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME programs)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

include(GNUInstallDirs)
set(MYTHOS_LIBEXEC ${CMAKE_INSTALL_LIBEXECDIR}/mythos)
set(MYTHOS_PLUGINS ${CMAKE_INSTALL_LIBDIR}/mythos)
set(MYTHOS_PRESETS ${CMAKE_INSTALL_DATADIR}/mythos/presets)

add_library(mythos_settings INTERFACE)
target_include_directories(mythos_settings INTERFACE ${PROJECT_SOURCE_DIR}/lib)
target_compile_options(mythos_settings INTERFACE -Wall -Wextra -Wno-unused-parameter)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of g++ 12 on std::string's operator+.
  target_compile_options(mythos_settings INTERFACE -Wno-restrict -Wno-stringop-overflow)
endif()
if(MYTHOS_SANITIZE)
  target_compile_options(mythos_settings INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(mythos_settings INTERFACE -fsanitize=address,undefined)
endif()
if(MYTHOS_FUZZ)
  target_compile_options(mythos_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Relative paths: a second checkout finds what the first one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
    CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()
