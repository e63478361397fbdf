# mythos_sentencepiece: SentencePiece from the pinned sources (cmake/sources.lock), static.
#
# Its symbols are hidden. A shared SentencePiece and LibTorch both export FLAGS_minloglevel and parts of protobuf, and
# a process that loads the two has one definition for both.
file(GLOB SENTENCEPIECE_ROOT ${PROJECT_SOURCE_DIR}/.sources/sentencepiece-*/sentencepiece)
if(NOT EXISTS "${SENTENCEPIECE_ROOT}/src/sentencepiece_processor.h")
  message(FATAL_ERROR "No SentencePiece sources in ${PROJECT_SOURCE_DIR}/.sources. Run ./bootstrap.")
endif()
file(REAL_PATH ${SENTENCEPIECE_ROOT} SENTENCEPIECE_ROOT)
set(third_party ${SENTENCEPIECE_ROOT}/third_party)

block()
  # What config.h.in asks for.
  set(PROJECT_NAME sentencepiece)
  file(STRINGS ${SENTENCEPIECE_ROOT}/VERSION.txt PROJECT_VERSION)
  set(INSTALL_DATADIR "")
  configure_file(${SENTENCEPIECE_ROOT}/config.h.in ${CMAKE_BINARY_DIR}/sentencepiece/config.h)
endblock()

file(GLOB sources ${SENTENCEPIECE_ROOT}/src/*.cc)
list(FILTER sources EXCLUDE REGEX "_main\\.cc$|_test\\.cc$|/test_main\\.cc$|/testharness\\.cc$")
file(GLOB protobuf_sources ${third_party}/protobuf-lite/*.cc)
list(FILTER protobuf_sources EXCLUDE REGEX "/io_win32\\.cc$")
list(APPEND protobuf_sources ${third_party}/absl/flags/flag.cc
  ${SENTENCEPIECE_ROOT}/src/builtin_pb/sentencepiece.pb.cc ${SENTENCEPIECE_ROOT}/src/builtin_pb/sentencepiece_model.pb.cc)

add_library(mythos_sentencepiece STATIC ${sources} ${protobuf_sources})
target_link_libraries(mythos_sentencepiece PRIVATE mythos_settings Threads::Threads)
target_compile_options(mythos_sentencepiece PRIVATE -w)
# The tables of normalization rules (7 MB of source) serve only the training of models with such rules.
target_compile_definitions(mythos_sentencepiece PRIVATE _USE_INTERNAL_STRING_VIEW HAVE_PTHREAD=1 DISABLE_EMBEDDED_DATA)
target_include_directories(mythos_sentencepiece SYSTEM PUBLIC
  ${CMAKE_BINARY_DIR}/sentencepiece ${SENTENCEPIECE_ROOT}/src ${SENTENCEPIECE_ROOT}/src/builtin_pb
  ${SENTENCEPIECE_ROOT} ${third_party} ${third_party}/protobuf-lite)
# Some of protobuf's functions are marked as visible in its sources.
target_link_options(mythos_sentencepiece INTERFACE "LINKER:--exclude-libs,libmythos_sentencepiece.a")
# Three large files compile in half the time of fifty small ones.
set_target_properties(mythos_sentencepiece PROPERTIES
  CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON UNITY_BUILD ON UNITY_BUILD_MODE GROUP
  UNITY_BUILD_CODE_AFTER_INCLUDE "#ifdef PROTOBUF_NAMESPACE\n#include \"google/protobuf/port_undef.inc\"\n#endif")
foreach(source IN LISTS sources protobuf_sources)
  if(source IN_LIST protobuf_sources)
    set(group protobuf)
  elseif(source MATCHES "train|builder|unicode_script")
    set(group train)
  else()
    set(group encode)
  endif()
  set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
endforeach()
