# Headers, CMake package, pkg-config file and, where they were built, the programs. Everything is independent of the
# processor and may be moved: no absolute path is written into any installed file.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(hlip_cmake_dir "${CMAKE_INSTALL_DATADIR}/cmake/hlip")

install(TARGETS hlip EXPORT hlip-targets
        FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILE_SET optional DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT hlip-targets NAMESPACE hlip:: DESTINATION "${hlip_cmake_dir}")

configure_package_config_file(cmake/hlip-config.cmake.in hlip-config.cmake INSTALL_DESTINATION "${hlip_cmake_dir}"
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(hlip-config-version.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/hlip-config.cmake" "${CMAKE_CURRENT_BINARY_DIR}/hlip-config-version.cmake"
              cmake/hlip-full.cmake cmake/hlip-dicom.cmake cmake/hlip-blas.cmake cmake/hlip-thrust.cmake
        DESTINATION "${hlip_cmake_dir}")

file(RELATIVE_PATH hlip_pc_prefix "/prefix/${CMAKE_INSTALL_DATADIR}/pkgconfig" "/prefix")
configure_file(cmake/hlip.pc.in hlip.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/hlip.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/hlip")

if(HLIP_BUILD_EXAMPLES AND hlip_programs)
  install(TARGETS ${hlip_programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" OPTIONAL)
endif()
