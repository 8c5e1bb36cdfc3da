# The conformance table, the gradient checks of the kernels and block programs for the Cuda backend (HLIP_DEVICE), from the files that otherwise
# hold Cpu against Reference.

file(GLOB sources CONFIGURE_DEPENDS backend/block_test.cpp backend/conformance_*_test.cpp backend/pull_test.cpp)
add_executable(hlip_test_device ${sources})
target_link_libraries(hlip_test_device PRIVATE hlip_test_main hlip_own)
target_compile_options(hlip_test_device PRIVATE $<$<CONFIG:Release>:-O1>)
set_target_properties(hlip_test_device PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
if(HLIP_DEVICE STREQUAL "CUDA")
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CUDA)
endif()
add_test(NAME device COMMAND hlip_test_device)
set_tests_properties(device PROPERTIES LABELS gpu TIMEOUT 900)
