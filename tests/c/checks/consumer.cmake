# Builds the project in consumer/, in C and in C++, which runs its programs as it builds
# them; -Dway says how it comes by the library.
include(${CMAKE_CURRENT_LIST_DIR}/cxx.cmake)
file(REMOVE_RECURSE ${scratch})
file(MAKE_DIRECTORY ${scratch})
if(way STREQUAL "package")
    set(library -DCMAKE_PREFIX_PATH=${prefix} -Dmemory_pool_version=${version})
elseif(way STREQUAL "subdirectory")
    set(library -Dmemory_pool_source=${sources})
else() # an archive, as one of a release, but of no more than the library needs
    set(library -Dmemory_pool_source=${scratch}/memory_pool.tar.gz)
    execute_process(COMMAND ${CMAKE_COMMAND} -E tar czf ${scratch}/memory_pool.tar.gz
                            CMakeLists.txt c
                    WORKING_DIRECTORY ${sources} COMMAND_ERROR_IS_FATAL ANY)
endif()
if(toolchain)
    list(APPEND library -DCMAKE_TOOLCHAIN_FILE=${toolchain})
endif()

# Each program needs the library that it was linked with, and not the other.
function(check_needs program expected)
    file(GLOB file ${program} ${program}.exe)
    file(STRINGS "${file}" needs REGEX "memory_pool(\\.[0-9]+)*\\.(so|dll|dylib)")
    if(needs)
        set(needs TRUE)
    else()
        set(needs FALSE)
    endif()
    if(NOT needs STREQUAL expected)
        message(FATAL_ERROR "${file} needs the shared library: ${needs}")
    endif()
endfunction()

function(build_consumer language)
    set(build ${scratch}/${language})
    execute_process(COMMAND ${CMAKE_COMMAND} -S ${sources}/tests/c/consumer -B ${build}
                            -G ${generator} -DCMAKE_MAKE_PROGRAM=${make}
                            -DCMAKE_BUILD_TYPE=Release
                            -DCMAKE_C_COMPILER=${compiler} "-DCMAKE_C_FLAGS=${flags}"
                            -DCMAKE_CXX_COMPILER=${cxx} "-DCMAKE_CXX_FLAGS=${flags}"
                            -Dlanguage=${language} -Dway=${way} ${library}
                    COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} --config Release
                    COMMAND_ERROR_IS_FATAL ANY)
    check_needs(${build}/with_memory_pool TRUE)
    check_needs(${build}/with_memory_pool_static FALSE)

    # Used as a part of another project, the library adds no tests and installs nothing.
    if(NOT way STREQUAL "package")
        execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} --config Release
                                --prefix ${build}/prefix
                        COMMAND_ERROR_IS_FATAL ANY)
        file(GLOB surprises ${build}/prefix/* ${build}/memory_pool/tests
             ${build}/_deps/memory_pool-build/tests)
        if(surprises)
            message(FATAL_ERROR "not asked for: ${surprises}")
        endif()
    endif()
endfunction()

build_consumer(C)
if(cxx)
    build_consumer(CXX)
endif()
