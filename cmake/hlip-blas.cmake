# hlip::blas = hlip::hlip with matrix products from a CBLAS (BLIS, OpenBLAS, MKL, in this order, or what
# HLIP_CBLAS_LIBRARY and HLIP_CBLAS_INCLUDE_DIR name). No target when none is found. Its results depend on the
# number of threads; those of hlip::hlip alone do not. The plain reference BLAS is not taken: it is slower than Eigen.

if(NOT TARGET hlip::blas)
  set(flavours blis-openmp blis-pthread blis openblas-openmp openblas-pthread openblas mkl)
  find_library(HLIP_CBLAS_LIBRARY NAMES blis openblas mkl_rt NAMES_PER_DIR PATH_SUFFIXES ${flavours} DOC "A CBLAS: BLIS, OpenBLAS or MKL")
  find_path(HLIP_CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES ${flavours} DOC "Folder of cblas.h")
  mark_as_advanced(HLIP_CBLAS_LIBRARY HLIP_CBLAS_INCLUDE_DIR)
  if(HLIP_CBLAS_LIBRARY AND HLIP_CBLAS_INCLUDE_DIR)
    add_library(hlip::blas INTERFACE IMPORTED GLOBAL)
    target_link_libraries(hlip::blas INTERFACE hlip::hlip "${HLIP_CBLAS_LIBRARY}")
    target_include_directories(hlip::blas INTERFACE "${HLIP_CBLAS_INCLUDE_DIR}")
    target_compile_definitions(hlip::blas INTERFACE HLIP_WITH_CBLAS)
  endif()
endif()
