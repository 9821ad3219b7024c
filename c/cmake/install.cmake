# SPDX-License-Identifier: MIT
# Installs two components: `runtime`, the shared library, and `dev`, what is needed to
# build with it: the header, the static library, the CMake package and the .pc file.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/memory_pool)
set(package_files ${PROJECT_BINARY_DIR}/package)

set(targets ${shared_targets})
if(TARGET memory_pool_static)
    list(APPEND targets memory_pool_static)
endif()
install(TARGETS ${targets} EXPORT memory_pool_targets
        RUNTIME COMPONENT runtime
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev
        ARCHIVE COMPONENT dev)
install(FILES c/memory_pool.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT dev)

# gdb loads this with the library DIR/NAME from share/gdb/auto-load/DIR/NAME-gdb.py below
# its own prefix; the prefix of the library is known when it is installed.
if(UNIX AND NOT APPLE)
    foreach(target IN LISTS shared_targets)
        set(folder ${CMAKE_INSTALL_LIBDIR})
        if(NOT IS_ABSOLUTE ${folder})
            set(folder "\${CMAKE_INSTALL_PREFIX}/${folder}")
        endif()
        install(CODE "
            file(REAL_PATH \"${folder}\" folder)
            file(INSTALL \"${PROJECT_SOURCE_DIR}/c/gdb/memory_pool-gdb.py\"
                 DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/gdb/auto-load\${folder}\"
                 RENAME \"$<TARGET_FILE_NAME:${target}>-gdb.py\")"
            COMPONENT dev)
    endforeach()
endif()

install(EXPORT memory_pool_targets NAMESPACE memory_pool::
        FILE memory_poolTargets.cmake DESTINATION ${package_dir} COMPONENT dev)
configure_package_config_file(
    c/cmake/memory_poolConfig.cmake.in ${package_files}/memory_poolConfig.cmake
    INSTALL_DESTINATION ${package_dir}
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${package_files}/memory_poolConfigVersion.cmake
                                 COMPATIBILITY ${interface_compatibility})
install(FILES ${package_files}/memory_poolConfig.cmake
              ${package_files}/memory_poolConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# The .pc file gets its prefix from its own path, so that an installation can be moved,
# except if the folders are given as absolute paths.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_prefix}")
endif()
set(pc_includedir "\${prefix}")
cmake_path(APPEND pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
set(pc_libdir "\${prefix}")
cmake_path(APPEND pc_libdir "${CMAKE_INSTALL_LIBDIR}")
configure_file(c/cmake/memory_pool.pc.in ${package_files}/memory_pool.pc @ONLY)
install(FILES ${package_files}/memory_pool.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
