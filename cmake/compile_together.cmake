# Templates that many files use are compiled again for each of them. Here such files are compiled as one, each in a namespace of its own.
#
#   hlip_compile_together(OUT SOURCE…)   makes the file OUT, relative to the build folder, of these sources
#   hlip_one_program(TARGET NAME…)       the programs NAME.cpp of this folder as one, which does what the name it is called by says;
#                                        every NAME is a link to it. For builds that only check: what is installed stays apart

# As a script, at build time: cmake -DOUT=… -DSOURCES=a.cpp,b.cpp -DMAIN=ON|OFF -P compile_together.cmake
if(CMAKE_SCRIPT_MODE_FILE)
  string(REPLACE "," ";" SOURCES "${SOURCES}")
  set(includes)
  set(bodies)
  set(cases)
  foreach(source IN LISTS SOURCES)
    # Headers come first and at file scope: the #include lines of the sources then mean nothing inside their namespaces.
    file(STRINGS "${source}" lines REGEX "^#(include|if|ifdef|ifndef|else|endif)")
    list(APPEND includes ${lines})
    cmake_path(GET source STEM name)
    string(APPEND bodies "namespace file_${name} {\n#include \"${source}\"\n}\n")
    string(APPEND cases "  if (name == \"${name}\") return file_${name}::main(argc, argv);\n")
  endforeach()
  list(JOIN includes "\n" includes)
  if(MAIN)
    string(APPEND bodies "
#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
  std::string_view name = argv[0];
  name.remove_prefix(name.rfind('/') + 1);
${cases}  std::fprintf(stderr, \"%s: this is called by the names of hlip's programs\\n\", argv[0]);
  return 2;
}
")
  endif()
  file(WRITE "${OUT}" "${includes}\n\n${bodies}")
  return()
endif()

set(hlip_compile_together_script "${CMAKE_CURRENT_LIST_FILE}")

function(hlip_compile_together out)
  cmake_parse_arguments(PARSE_ARGV 1 arg "MAIN" "" "")
  set(sources ${arg_UNPARSED_ARGUMENTS})
  list(TRANSFORM sources PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/" REGEX "^[^/]")
  list(JOIN sources "," joined)
  add_custom_command(OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/${out}" DEPENDS ${sources} "${hlip_compile_together_script}" VERBATIM
                     COMMAND ${CMAKE_COMMAND} "-DOUT=${CMAKE_CURRENT_BINARY_DIR}/${out}" "-DSOURCES=${joined}" "-DMAIN=${arg_MAIN}"
                             -P "${hlip_compile_together_script}")
endfunction()

function(hlip_one_program target)
  set(sources ${ARGN})
  list(TRANSFORM sources APPEND ".cpp")
  hlip_compile_together(${target}.cpp MAIN ${sources})
  add_executable(${target} "${CMAKE_CURRENT_BINARY_DIR}/${target}.cpp")
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  foreach(name IN LISTS ARGN)
    add_custom_command(TARGET ${target} POST_BUILD COMMAND ${CMAKE_COMMAND} -E create_symlink ${target} "${PROJECT_BINARY_DIR}/bin/${name}")
    add_custom_target(${name} DEPENDS ${target})
  endforeach()
endfunction()
