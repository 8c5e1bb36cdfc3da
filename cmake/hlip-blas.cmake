# hlip::blas = hlip::hlip with matrix products from a CBLAS (OpenBLAS, BLIS, MKL, in this order, or what
# HLIP_CBLAS_LIBRARY and HLIP_CBLAS_INCLUDE_DIR name). No target when none is found. Its results depend on the
# number of threads; those of hlip::hlip alone do not. The plain reference BLAS is not taken: it is slower than Eigen.
# OpenBLAS first: Debian's BLIS 0.9 is up to a tenth faster with AVX2, but knows no AVX-512 of AMD and is five times slower there.

if(NOT TARGET hlip::blas)
  set(flavours openblas-openmp openblas-pthread openblas blis-openmp blis-pthread blis mkl)
  find_library(HLIP_CBLAS_LIBRARY NAMES openblas blis mkl_rt NAMES_PER_DIR PATH_SUFFIXES ${flavours} DOC "A CBLAS: OpenBLAS, BLIS or MKL")
  find_path(HLIP_CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES ${flavours} DOC "Folder of cblas.h")
  mark_as_advanced(HLIP_CBLAS_LIBRARY HLIP_CBLAS_INCLUDE_DIR)
  if(HLIP_CBLAS_LIBRARY AND HLIP_CBLAS_INCLUDE_DIR)
    add_library(hlip::blas INTERFACE IMPORTED GLOBAL)
    target_link_libraries(hlip::blas INTERFACE hlip::hlip "${HLIP_CBLAS_LIBRARY}")
    target_include_directories(hlip::blas INTERFACE "${HLIP_CBLAS_INCLUDE_DIR}")
    target_compile_definitions(hlip::blas INTERFACE HLIP_WITH_CBLAS)
  endif()
endif()
