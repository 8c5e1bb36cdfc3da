# Templates that many files use are compiled again for each of them. Here such files are compiled as one, each in a namespace of its
# own. HLIP_COMPILE_TOGETHER=OFF (preset dev) keeps them apart: longer for all of them, shorter for the one that was changed.
#
#   hlip_compile_together(OUT SOURCE…)        makes the file OUT, relative to the build folder, of these sources
#   hlip_programs_together(LIBRARY NAME…)     the programs NAME.cpp of this folder: their code is compiled as one LIBRARY, and each is
#                                             linked from what it uses of it

# As a script, at build time: cmake -DOUT=… -DSOURCES=a.cpp,b.cpp -P compile_together.cmake
if(CMAKE_SCRIPT_MODE_FILE)
  string(REPLACE "," ";" SOURCES "${SOURCES}")
  set(includes)
  set(bodies)
  foreach(source IN LISTS SOURCES)
    # Headers come first and at file scope: the #include lines of the sources then mean nothing inside their namespaces.
    file(STRINGS "${source}" lines REGEX "^#(include|if|ifdef|ifndef|else|endif)")
    list(APPEND includes ${lines})
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET folder FILENAME folder)
    cmake_path(GET source STEM name)
    string(APPEND bodies "namespace file_${folder}_${name} {\n#include \"${source}\"\n}\n")
  endforeach()
  list(JOIN includes "\n" includes)
  file(WRITE "${OUT}" "${includes}\n\n${bodies}")
  return()
endif()

set(hlip_compile_together_script "${CMAKE_CURRENT_LIST_FILE}")

function(hlip_compile_together out)
  set(sources ${ARGN})
  list(TRANSFORM sources PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" REGEX "^[^/]")
  list(JOIN sources "," joined)
  add_custom_command(OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${out}" DEPENDS ${sources} "${hlip_compile_together_script}" VERBATIM
                     COMMAND ${CMAKE_COMMAND} "-DOUT=${CMAKE_CURRENT_BINARY_DIR}/${out}" "-DSOURCES=${joined}"
                             -P "${hlip_compile_together_script}")
endfunction()

function(hlip_programs_together library)
  set(sources ${ARGN})
  list(TRANSFORM sources APPEND ".cpp")
  hlip_compile_together(${library}.cpp ${sources})
  add_library(${library} OBJECT "${CMAKE_CURRENT_BINARY_DIR}/${library}.cpp")
  target_include_directories(${library} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  # What a program does not use of the common code is left out when it is linked.
  target_compile_options(${library} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:-ffunction-sections;-fdata-sections>")
  target_link_options(${library} INTERFACE "$<$<PLATFORM_ID:Linux>:LINKER:--gc-sections>")
  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME folder)
  foreach(name IN LISTS ARGN)
    set(main "${CMAKE_CURRENT_BINARY_DIR}/${name}_main.cpp")
    file(CONFIGURE OUTPUT "${main}" CONTENT "namespace file_${folder}_${name} {
int main(int argc, char** argv);
}
int main(int argc, char** argv) { return file_${folder}_${name}::main(argc, argv); }
")
    add_executable(${name} "${main}")
    target_link_libraries(${name} PRIVATE ${library})
  endforeach()
endfunction()
