# Installs into one folder and moves it to `prefix`, where the consumers find it: what is
# installed must work wherever it is put.
file(REMOVE_RECURSE ${scratch} ${prefix})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} --config ${config}
                        --prefix ${scratch}
                COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${scratch} ${prefix})
