# Compiles the outside programs by hand, in C and in C++, with what pkg-config says: with
# the shared library, and with nothing but static ones.
find_program(pkg_config NAMES pkg-config pkgconf)
if(NOT pkg_config)
    message("skipped: there is no pkg-config")
    return()
endif()
include(${CMAKE_CURRENT_LIST_DIR}/cxx.cmake)
set(ENV{PKG_CONFIG_PATH} ${prefix}/${libdir}/pkgconfig)
set(ENV{LD_LIBRARY_PATH} ${prefix}/${libdir})
set(ENV{DYLD_LIBRARY_PATH} ${prefix}/${libdir})

# Sets `result` to what pkg-config says, as a list.
function(ask result)
    execute_process(COMMAND ${pkg_config} ${ARGN} OUTPUT_VARIABLE told
                    OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    separate_arguments(told UNIX_COMMAND "${told}")
    set(${result} ${told} PARENT_SCOPE)
endfunction()

ask(modversion --modversion memory_pool)
if(NOT modversion STREQUAL version)
    message(FATAL_ERROR "pkg-config says version ${modversion}, not ${version}")
endif()
ask(nothing --exists "memory_pool = ${version}")
ask(shared --cflags --libs memory_pool)
ask(static --static --cflags --libs memory_pool)

separate_arguments(flags UNIX_COMMAND "${flags}")
file(REMOVE_RECURSE ${scratch})
file(MAKE_DIRECTORY ${scratch})

# compile_and_run(SOURCE OPTIONS LIBRARIES COMPILER ...)
function(compile_and_run source options libraries)
    execute_process(COMMAND ${ARGN} ${flags} ${options} -Wall -Wextra -Wpedantic -Werror
                            ${sources}/tests/c/consumer/${source} -o ${scratch}/program
                            ${libraries}
                    COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${emulator} ${scratch}/program COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(ways shared)
if(NOT CMAKE_HOST_APPLE) # which has no static C library
    list(APPEND ways static)
endif()
foreach(way IN LISTS ways)
    set(options "")
    if(way STREQUAL "static")
        set(options -static -DLINKED_STATICALLY)
    endif()
    compile_and_run(main.c "${options}" "${${way}}" ${compiler} -std=c99)
    if(cxx)
        compile_and_run(main.cpp "${options}" "${${way}}" ${cxx} -std=c++17 -pthread)
    endif()
endforeach()
