install(DIRECTORY presets/ DESTINATION ${MYTHOS_PRESETS} FILES_MATCHING PATTERN "*.toml")
install(DIRECTORY man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(DIRECTORY man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 FILES_MATCHING PATTERN "*.5")
install(FILES completions/mythos.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mythos OPTIONAL)
install(FILES completions/_mythos DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions OPTIONAL)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
# What is compiled into the programs.
install(FILES ${SENTENCEPIECE_ROOT}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.sentencepiece)
foreach(part IN ITEMS absl darts_clone esaxx protobuf-lite)
  install(FILES ${SENTENCEPIECE_ROOT}/third_party/${part}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME LICENSE.${part})
endforeach()

# The shared libraries that the programs and plug-ins need, for packages: LibTorch for the CPU and Arrow
# (component "torch"), and those of the system but for glibc (component "system"). A plain install has neither.
set(glibc "^lib(c|m|mvec|dl|rt|pthread|resolv|util|anl)\\.so" "^ld-linux")
set(of_the_system "^/lib" "^/usr/lib")
install(RUNTIME_DEPENDENCY_SET mythos_needs
  COMPONENT torch EXCLUDE_FROM_ALL DESTINATION ${MYTHOS_PLUGINS}
  PRE_EXCLUDE_REGEXES ${glibc} POST_EXCLUDE_REGEXES ${of_the_system}
  DIRECTORIES ${TORCH_CUDA_LIB_DIRS})
install(RUNTIME_DEPENDENCY_SET mythos_needs
  COMPONENT system EXCLUDE_FROM_ALL DESTINATION ${MYTHOS_PLUGINS}
  PRE_EXCLUDE_REGEXES ${glibc} POST_INCLUDE_REGEXES ${of_the_system} POST_EXCLUDE_REGEXES ".*"
  DIRECTORIES ${TORCH_CUDA_LIB_DIRS})

# "cpack -G DEB" makes a Debian package that brings LibTorch and takes the rest from Debian; "cpack -G TGZ" a
# tarball that needs nothing but glibc. Configure with the preset "package" first.
set(CPACK_PACKAGE_NAME mythos)
set(CPACK_PACKAGE_VENDOR "the mythos authors")
set(CPACK_PACKAGE_CONTACT "the mythos authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGE_FILE_NAME mythos-${PROJECT_VERSION}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 0)
set(CPACK_PROJECT_CONFIG_FILE ${PROJECT_SOURCE_DIR}/cmake/MythosPackage.cmake)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
