# Builds for 64-bit Windows with Debian's mingw-w64 and runs the tests in Wine. The
# compiler's name says which of the two thread models is meant; both may be installed.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)

set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)

# Wine is known to hang now and then; no test needs as long as this.
set(CMAKE_CROSSCOMPILING_EMULATOR timeout;600;wine)
