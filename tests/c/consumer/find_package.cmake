# Which requests the installed package answers, given its version in memory_pool_version,
# and which it refuses. The last one answered gives the targets.
string(REGEX MATCH "^([0-9]+)\\.([0-9]+)" minor ${memory_pool_version})
math(EXPR next_minor "${CMAKE_MATCH_2} + 1")
set(next_minor ${CMAKE_MATCH_1}.${next_minor})

# Before 1.0 a minor version may change the interface.
foreach(refused IN ITEMS
        "${next_minor}" "99" "${next_minor}...99" "0.0...<${memory_pool_version}"
        "${memory_pool_version}.1;EXACT" "COMPONENTS;nonsense" "COMPONENTS;shared;nonsense")
    find_package(memory_pool ${refused} QUIET)
    if(memory_pool_FOUND)
        message(FATAL_ERROR "${memory_pool_version} is no answer to ${refused}")
    endif()
endforeach()

foreach(answered IN ITEMS
        "" "${minor}" "${minor}...<${next_minor}" "COMPONENTS;static"
        "${memory_pool_version};EXACT;COMPONENTS;shared;static")
    find_package(memory_pool ${answered} REQUIRED)
endforeach()
