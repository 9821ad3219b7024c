# The shared library shows the functions of the header and nothing else, and the export map
# names these. (That the table of signatures has them too is a test of Python's.) On Windows
# the library needs no DLL but the system's; on ELF systems its name says which interface it
# has.
file(STRINGS ${sources}/c/memory_pool.h declared REGEX "^POOL_API ")
list(TRANSFORM declared REPLACE "^POOL_API [^(]*[ *](pool_[a-z_]+)\\(.*$" "\\1")
list(SORT declared)

# Sets `result` to the first groups of all matches of `pattern` in `text`.
function(match_all pattern text result)
    string(REGEX MATCHALL "${pattern}" found "${text}")
    list(TRANSFORM found REPLACE "${pattern}" "\\1")
    set(${result} "${found}" PARENT_SCOPE)
endfunction()

# The linker says nothing of a name in the map that the library does not define.
file(STRINGS ${sources}/c/cmake/memory_pool.map mapped REGEX "^ *pool_[a-z_]+;$")
list(TRANSFORM mapped REPLACE "^ *(pool_[a-z_]+);$" "\\1")
list(SORT mapped)
if(NOT mapped STREQUAL declared)
    message(FATAL_ERROR "the header declares ${declared}\nthe map names ${mapped}")
endif()

if(library MATCHES "\\.dll$")
    execute_process(COMMAND ${objdump} -p ${library} OUTPUT_VARIABLE listing
                    COMMAND_ERROR_IS_FATAL ANY)
    match_all("DLL Name: ([^\r\n]+)" "${listing}" needed)
    list(FILTER needed EXCLUDE REGEX "^(KERNEL32|ntdll|msvcrt|ucrtbase|api-ms-win-.*)\\.dll$")
    if(needed)
        message(FATAL_ERROR "the DLL needs more than the system has: ${needed}")
    endif()
    string(REGEX REPLACE "^.*Ordinal/Name Pointer. Table" "" listing "${listing}")
    match_all("\n\t?\\[ *[0-9]+\\][^\r\n]* ([A-Za-z_][A-Za-z0-9_]*)" "${listing}" exported)
else()
    execute_process(COMMAND ${nm} -D --defined-only ${library} OUTPUT_VARIABLE listing
                    COMMAND_ERROR_IS_FATAL ANY)
    # "address kind name@@version"; the version nodes themselves are of kind A.
    match_all(" [B-Zb-z] ([A-Za-z0-9_]+)[^\n]*\n" "${listing}" exported)
endif()

# Programs look for the library by this name, so that one with another interface is not
# taken for it: before 1.0 each minor version has its own, later each major one.
if(library MATCHES "\\.so[.0-9]*$")
    file(STRINGS ${sources}/c/memory_pool.h versions
         REGEX "^#define POOL_VERSION_(MAJOR|MINOR) [0-9]+$")
    list(TRANSFORM versions REPLACE "[^0-9]+" "")
    list(GET versions 0 interface)
    if(interface EQUAL 0)
        list(JOIN versions "." interface)
    endif()
    execute_process(COMMAND ${objdump} -p ${library} OUTPUT_VARIABLE listing
                    COMMAND_ERROR_IS_FATAL ANY)
    match_all("\n *SONAME +([^\n]+)\n" "${listing}" name)
    if(NOT name STREQUAL "libmemory_pool.so.${interface}")
        message(FATAL_ERROR "the library's name is ${name}, of the interface ${interface}")
    endif()
endif()
list(SORT exported)

if(NOT declared OR NOT exported STREQUAL declared)
    message(FATAL_ERROR "the header declares ${declared}\nthe library shows ${exported}")
endif()
