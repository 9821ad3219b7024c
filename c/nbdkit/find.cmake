# SPDX-License-Identifier: MIT
# Sets `nbdkit` to whether the plugin is built by default: if it would be installed and
# nbdkit's header is there for the compiler. Not in a cross build, nor in one for 32 bits
# by `gcc -m32`, which also finds that header.
set(nbdkit OFF)
if(POOL_INSTALL AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT CMAKE_CROSSCOMPILING
   AND CMAKE_SIZEOF_VOID_P EQUAL 8)
    find_package(PkgConfig QUIET)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(NBDKIT QUIET nbdkit>=1.32)
    endif()
    if(NBDKIT_FOUND)
        include(CheckIncludeFile)
        set(CMAKE_REQUIRED_INCLUDES ${NBDKIT_INCLUDE_DIRS})
        check_include_file(nbdkit-plugin.h POOL_HAS_NBDKIT_HEADER)
        unset(CMAKE_REQUIRED_INCLUDES)
        if(POOL_HAS_NBDKIT_HEADER)
            set(nbdkit ON)
        endif()
    endif()
endif()
