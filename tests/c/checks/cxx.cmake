# Sets `cxx` to the C++ compiler for the same machine and C library as the C compiler, or
# to NOTFOUND. It has the C compiler's name but for its end: any other might make programs
# that do not fit.
get_filename_component(compiler_name ${compiler} NAME)
get_filename_component(compiler_folder ${compiler} DIRECTORY)
set(cxx_name ${compiler_name})
string(REGEX REPLACE "gcc([-a-z0-9]*)$" "g++\\1" cxx_name ${cxx_name})
string(REGEX REPLACE "clang([-0-9]*)$" "clang++\\1" cxx_name ${cxx_name})
string(REGEX REPLACE "(^|-)cc$" "\\1c++" cxx_name ${cxx_name})
set(cxx cxx-NOTFOUND)
if(NOT cxx_name STREQUAL compiler_name)
    find_program(cxx NAMES ${cxx_name} HINTS ${compiler_folder})
endif()
if(NOT cxx)
    message("skipped: the part in C++, there is no ${cxx_name} beside ${compiler_name}")
endif()
