# The demo prints what it is said to print, byte for byte. Without -Dprogram it is built
# first, by the one line that its users are told.
if(NOT DEFINED program)
    file(REMOVE_RECURSE ${scratch})
    file(COPY ${sources}/c DESTINATION ${scratch})
    separate_arguments(flags UNIX_COMMAND "${flags}")
    execute_process(COMMAND ${compiler} ${flags} -o memory_pool demo.c memory_pool.c -lpthread
                    WORKING_DIRECTORY ${scratch}/c COMMAND_ERROR_IS_FATAL ANY)
    set(program ${scratch}/c/memory_pool)
endif()

execute_process(COMMAND ${emulator} ${program}
                OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\r\n" "\n" output "${output}") # text files of Windows
if(NOT output STREQUAL "Read: Test message\n")
    message(FATAL_ERROR "the demo printed: ${output}")
endif()
