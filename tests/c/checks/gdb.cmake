# The pretty-printer shows pools in gdb, of a program and a library with debug information.
if(NOT gdb)
    message("skipped: there is no gdb")
    return()
endif()
execute_process(COMMAND ${gdb} -batch -nx -iex "set auto-load off"
                        -ex "set disable-randomization off"
                        -ex "source ${sources}/c/gdb/memory_pool-gdb.py"
                        -ex "break look_at" -ex run
                        -ex "print *pool" -ex "print *limited" ${program}
                OUTPUT_VARIABLE output ERROR_VARIABLE output)

# A container may not let one process trace another.
if(output MATCHES "(ptrace: Operation not permitted|Couldn't get registers|Cannot trace)")
    message("skipped: gdb may not run a program: ${CMAKE_MATCH_0}")
    return()
endif()
if(output MATCHES "incomplete type")
    message("skipped: the library has no debug information")
    return()
endif()
if(output MATCHES "Scripting in the \"Python\" language is not supported")
    message("skipped: this gdb has no Python")
    return()
endif()

# expect(PATTERN ...): all in one line of the output.
function(expect)
    list(JOIN ARGN "" pattern)
    if(NOT output MATCHES "${pattern}")
        message(FATAL_ERROR "${pattern}\nis not in what gdb printed:\n${output}")
    endif()
endfunction()
set(made "")
if(debug)
    set(made ", made = \"?[^\n]*gdb.c:[0-9]+\"?")
endif()
expect("pool of 1048576 bytes in blocks of 4096: holds 8192, 2 references, "
       "family 0x[0-9a-f]+, limit none = {family_bytes = 12288, family_pools = 2, "
       "family_views = 0, pinned_blocks = 0, copied_blocks = 0${made}}\n")
expect("pool of 1000 bytes in blocks of 64: holds 0, 1 reference, "
       "family 0x[0-9a-f]+, limit 640 = {family_bytes = 0, family_pools = 1, "
       "family_views = 0, pinned_blocks = 0, copied_blocks = 0${made}}\n")
