# What a project that has the tree of hlip in its own build may expect, whichever command brought it in.
add_executable(consumer ../main.cpp ../squares.cpp)
target_link_libraries(consumer PRIVATE hlip::hlip)

# The same target by the same name, whatever the way in: also from a folder that hlip's own find_package calls never saw.
add_executable(consumer_full ../main.cpp ../squares.cpp ../find_package_full/optional.cpp)
target_link_libraries(consumer_full PRIVATE hlip::full)
if(TARGET hlip_test_main OR CMAKE_CXX_FLAGS MATCHES "march")
  message(FATAL_ERROR "hlip as a part of another project must not bring its tests or its own flags")
endif()
