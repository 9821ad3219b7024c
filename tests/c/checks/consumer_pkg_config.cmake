# Compiles the outside program by hand, as C and as C++, with what pkg-config says.
find_program(pkg_config NAMES pkg-config pkgconf)
if(NOT pkg_config)
    message("skipped: there is no pkg-config")
    return()
endif()
set(ENV{PKG_CONFIG_PATH} ${prefix}/${libdir}/pkgconfig)
execute_process(COMMAND ${pkg_config} --cflags --libs memory_pool
                OUTPUT_VARIABLE told COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${pkg_config} --modversion memory_pool OUTPUT_VARIABLE modversion
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
if(NOT modversion STREQUAL version)
    message(FATAL_ERROR "pkg-config says version ${modversion}, not ${version}")
endif()

separate_arguments(told UNIX_COMMAND "${told}")
separate_arguments(flags UNIX_COMMAND "${flags}")
file(REMOVE_RECURSE ${scratch})
file(MAKE_DIRECTORY ${scratch})
set(ENV{LD_LIBRARY_PATH} ${prefix}/${libdir})
set(ENV{DYLD_LIBRARY_PATH} ${prefix}/${libdir})

function(compile_and_run name)
    execute_process(COMMAND ${ARGN} ${flags} -Wall -Wextra -Wpedantic -Werror
                            ${sources}/tests/c/consumer/main.c -o ${scratch}/${name} ${told}
                    COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${emulator} ${scratch}/${name} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

compile_and_run(as_c ${compiler} -std=c11)
# The C++ compiler for the same machine and C library has the C compiler's name, but for
# its end: another would make programs that do not fit.
get_filename_component(compiler_name ${compiler} NAME)
set(cxx_name ${compiler_name})
string(REGEX REPLACE "gcc([-0-9]*)$" "g++\\1" cxx_name ${cxx_name})
string(REGEX REPLACE "clang([-0-9]*)$" "clang++\\1" cxx_name ${cxx_name})
string(REGEX REPLACE "(^|-)cc$" "\\1c++" cxx_name ${cxx_name})
find_program(cxx NAMES ${cxx_name})
if(NOT cxx OR cxx_name STREQUAL compiler_name)
    message("skipped: there is no C++ compiler ${cxx_name}; as C it works")
    return()
endif()
compile_and_run(as_cxx ${cxx} -x c++ -std=c++11)
