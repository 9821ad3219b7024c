# Builds for Linux with zig as the compiler, for the machine and the C library that
# ZIG_TARGET names: x86_64-linux-gnu.2.17, say. zig must be on the path.
set(CMAKE_SYSTEM_NAME Linux)
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "$ENV{ZIG_TARGET}")
# -dynamic: else zig would compile all of musl, to link CMake's own first program to it.
set(CMAKE_C_COMPILER zig cc -target $ENV{ZIG_TARGET} -dynamic)
