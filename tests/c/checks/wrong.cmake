# What a tool says of a program of tests/c/wrong: the words that the program asks for, and
# the lines at which it is wrong; or nothing, of one that is right.
#
#     -Dtool=asan|valgrind -Dprogram=... -Dsource=... -Dvalgrind=...
file(READ ${source} text)
if(NOT text MATCHES "\n \\* ${tool}: ([^\n]+)\n")
    message(FATAL_ERROR "${source} does not say what ${tool} must report")
endif()
set(words "${CMAKE_MATCH_1}")

if(tool STREQUAL "asan")
    set(ENV{ASAN_OPTIONS} "detect_leaks=1:exitcode=99")
    set(command ${program})
else()
    set(ENV{POOL_WRITTEN_PAGES} none) # valgrind does not know the system calls for that
    set(command ${valgrind} --quiet --error-exitcode=99 --leak-check=full
                --errors-for-leak-kinds=definite,indirect,possible
                --show-leak-kinds=definite,indirect,possible ${program})
endif()
execute_process(COMMAND ${command} RESULT_VARIABLE result
                OUTPUT_VARIABLE report ERROR_VARIABLE report)

if(words STREQUAL "silent")
    if(NOT result EQUAL 0 OR NOT report STREQUAL "")
        message(FATAL_ERROR "${tool} is not silent (${result}):\n${report}")
    endif()
    return()
endif()
if(result EQUAL 0)
    message(FATAL_ERROR "${tool} reports no error:\n${report}")
endif()
if(NOT report MATCHES "${words}")
    message(FATAL_ERROR "${tool} does not say: ${words}\n${report}")
endif()

get_filename_component(name ${source} NAME)
string(REPLACE ";" "," text "${text}")
string(REPLACE "\n" ";" lines "${text}")
set(number 0)
foreach(line IN LISTS lines)
    math(EXPR number "${number} + 1")
    if(line MATCHES "/\\* WRONG \\*/$")
        string(FIND "${report}" "${name}:${number}" found)
        if(found EQUAL -1)
            message(FATAL_ERROR "${tool} does not name ${name}:${number}\n${report}")
        endif()
    endif()
endforeach()
