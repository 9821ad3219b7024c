# Builds the project in consumer/, which runs its programs as it builds them; -Dway says
# how it comes by the library.
file(REMOVE_RECURSE ${scratch})
if(way STREQUAL "package")
    set(library -DCMAKE_PREFIX_PATH=${prefix} -Dmemory_pool_version=${version})
else()
    set(library -Dmemory_pool_source=${sources})
endif()
if(toolchain)
    list(APPEND library -DCMAKE_TOOLCHAIN_FILE=${toolchain})
endif()

execute_process(COMMAND ${CMAKE_COMMAND} -S ${sources}/tests/c/consumer -B ${scratch}
                        -G ${generator} -DCMAKE_MAKE_PROGRAM=${make}
                        -DCMAKE_C_COMPILER=${compiler} "-DCMAKE_C_FLAGS=${flags}"
                        -DCMAKE_BUILD_TYPE=Release ${library}
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${scratch} COMMAND_ERROR_IS_FATAL ANY)

# Used as a part of another project, the library adds no tests and installs nothing.
if(way STREQUAL "subdirectory")
    execute_process(COMMAND ${CMAKE_COMMAND} --install ${scratch} --prefix ${scratch}/prefix
                    COMMAND_ERROR_IS_FATAL ANY)
    file(GLOB surprises ${scratch}/prefix/* ${scratch}/memory_pool/tests)
    if(surprises)
        message(FATAL_ERROR "not asked for: ${surprises}")
    endif()
endif()
