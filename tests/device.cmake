# The conformance table, the gradient checks of the kernels and block programs for the Cuda backend (HLIP_DEVICE), from the files that
# otherwise hold Cpu against Reference; the golden fixtures, and a short training beside that of Cpu.

file(GLOB sources CONFIGURE_DEPENDS autograd/stored_operands_test.cpp backend/block_test.cpp backend/conformance_*_test.cpp backend/out_of_memory_test.cpp backend/pull_test.cpp backend/tensor_cores_test.cpp)
if(NOT HLIP_DEVICE STREQUAL "CUDA")  # what is held does not depend on the device, and nvcc takes minutes for a whole model
  list(APPEND sources models/memory_forecast_test.cpp)
endif()
if(HLIP_TESTS_TOGETHER)
  hlip_compile_together(hlip_test_device.cpp ${sources})
  set(sources "${CMAKE_CURRENT_BINARY_DIR}/hlip_test_device.cpp")
endif()
add_executable(hlip_test_device ${sources})
target_link_libraries(hlip_test_device PRIVATE hlip_test_main hlip_own)
target_include_directories(hlip_test_device PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/backend")
target_compile_options(hlip_test_device PRIVATE "$<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O1>")  # nvcc warns of a second -O
set_target_properties(hlip_test_device PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
if(HLIP_DEVICE STREQUAL "CUDA")
  set_source_files_properties(${sources} PROPERTIES LANGUAGE CUDA)
endif()
add_test(NAME device COMMAND hlip_test_device)
set(device_tests device)
if(TARGET hlip_golden)
  add_test(NAME device_golden COMMAND bash "${CMAKE_CURRENT_SOURCE_DIR}/scripts/golden.sh" "${PROJECT_BINARY_DIR}/bin")
  set_tests_properties(device_golden PROPERTIES ENVIRONMENT "HLIP_GOLDEN_BACKENDS=cuda;HLIP_SOURCE_DIR=${PROJECT_SOURCE_DIR}")
  add_test(NAME device_training COMMAND bash "${CMAKE_CURRENT_SOURCE_DIR}/device_training.sh" "${PROJECT_BINARY_DIR}/bin")
  set(steps 50)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=")  # what they look for shows in a few steps as well, and one thread of them takes minutes
    set(steps 10)
  endif()
  set_tests_properties(device_training PROPERTIES ENVIRONMENT "HLIP_SOURCE_DIR=${PROJECT_SOURCE_DIR};HLIP_DEVICE_STEPS=${steps}")
  list(APPEND device_tests device_golden device_training)
endif()
set_tests_properties(${device_tests} PROPERTIES LABELS gpu TIMEOUT 1800)
if(HLIP_DEVICE STREQUAL "CUDA")
  set_tests_properties(${device_tests} PROPERTIES SKIP_REGULAR_EXPRESSION "this machine has no GPU that CUDA can use")
  if(TARGET hlip_golden)
    add_test(NAME device_missing COMMAND bash "${CMAKE_CURRENT_SOURCE_DIR}/device_missing.sh" "${PROJECT_BINARY_DIR}/bin")
  endif()
  add_test(NAME device_registers COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_SOURCE_DIR}/device_registers.py" "${PROJECT_BINARY_DIR}")
  # Another project with a program for a GPU; see consumer/.
  add_test(NAME consumer.find_package_cuda COMMAND bash "${CMAKE_CURRENT_SOURCE_DIR}/consumer/run.sh" find_package_cuda "${CMAKE_CXX_COMPILER}"
           "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  set_tests_properties(consumer.find_package_cuda PROPERTIES TIMEOUT 900 ENVIRONMENT "CUDACXX=${CMAKE_CUDA_COMPILER};CUDAARCHS=90")
endif()
