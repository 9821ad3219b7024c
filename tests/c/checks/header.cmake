# The header needs nothing before it, may be included twice, and gives no warning in any
# version of C from C99 on and in any of C++, with the macros of POOL_DEBUG and without.
# Where the compiler has them all are switched on (-Weverything), and those left out that
# advise against what the header is written in.
cmake_minimum_required(VERSION 3.20...4.0) # for IN_LIST
include(${CMAKE_CURRENT_LIST_DIR}/cxx.cmake)
separate_arguments(flags UNIX_COMMAND "${flags}")
file(REMOVE_RECURSE ${scratch})
file(MAKE_DIRECTORY ${scratch})
file(WRITE ${scratch}/empty "typedef int nothing;\n")
file(WRITE ${scratch}/header
     "#include <memory_pool.h>\n#include <memory_pool.h>\n"
     "unsigned use(MemoryPool *pool);\n"
     "unsigned use(MemoryPool *pool) { return pool ? pool_version() : 0u; }\n"
     "MemoryPool *copy(MemoryPool *pool);\n"
     "MemoryPool *copy(MemoryPool *pool) { return pool_clone(pool); }\n")

set(common -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wundef
    -Wcast-qual -Wcast-align -Wredundant-decls -Wwrite-strings)
set(for_c -Wstrict-prototypes -Wmissing-prototypes)
set(for_cxx -Wold-style-cast -Wzero-as-null-pointer-constant -Wextra-semi
    -Wmissing-declarations)
set(everything -Weverything -Wno-padded -Wno-pre-c11-compat -Wno-c++98-compat
    -Wno-c++98-compat-pedantic -Wno-unsafe-buffer-usage -Wno-unknown-warning-option)

# try(RESULT FILE OPTION ...)
function(try result file)
    execute_process(COMMAND ${ARGN} ${flags} -Werror -I${sources}/c -fsyntax-only
                            ${scratch}/${file}
                    RESULT_VARIABLE failed OUTPUT_VARIABLE output ERROR_VARIABLE output)
    set(${result} ${failed} PARENT_SCOPE)
    set(output "${output}" PARENT_SCOPE)
endfunction()

# check(WARNINGS REQUIRED STANDARDS COMPILER ...): all must go through, and the compiler
# must know those required.
function(check warnings required standards)
    try(failed empty ${ARGN} -Weverything ${everything})
    if(NOT failed)
        list(APPEND warnings ${everything})
    endif()
    foreach(standard IN LISTS required standards)
        try(unknown empty ${ARGN} -std=${standard})
        if(unknown AND NOT standard IN_LIST required)
            message("${standard} is not known to this compiler")
            continue()
        endif()
        foreach(macros IN ITEMS "" -DPOOL_DEBUG)
            try(failed header ${ARGN} -std=${standard} ${warnings} ${macros})
            if(failed)
                message(FATAL_ERROR "as ${standard} ${macros}:\n${output}")
            endif()
        endforeach()
        message("${standard}: no warning")
    endforeach()
endfunction()

check("${common};${for_c}" "c99;gnu99;c11" "c17;gnu17;c2x;c23" ${compiler} -x c)
if(cxx)
    check("${common};${for_cxx}" "c++11;c++17" "c++98;c++14;c++20;c++23;c++26"
          ${cxx} -x c++)
endif()
