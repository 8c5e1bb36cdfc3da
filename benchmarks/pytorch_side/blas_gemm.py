"""Matrix products of one CBLAS library called directly:  python -m pytorch_side.blas_gemm LIBRARY THREADS STEPS SHAPES

SHAPES as for measure.py. A process of its own and without PyTorch, so that no other OpenMP runtime or BLAS is in the way; the
library takes its number of threads from the environment compare_pytorch.py sets.
"""
import argparse
import ctypes
import sys

import numpy

from .measure import report, shape_list, timed_kernel

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112


def main():
    library, threads, steps, shapes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), shape_list(sys.argv[4])
    sgemm = ctypes.CDLL(library).cblas_sgemm
    sgemm.restype = None
    pointer = lambda x: x.ctypes.data_as(ctypes.c_void_p)
    for m, n, k, trans_a, trans_b in shapes:
        draw = numpy.random.default_rng(1)
        a = draw.random((k, m) if trans_a else (m, k), dtype=numpy.float32)
        b = draw.random((n, k) if trans_b else (k, n), dtype=numpy.float32)
        c = numpy.zeros((m, n), dtype=numpy.float32)
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        call = lambda: sgemm(ROW_MAJOR, TRANSPOSED if trans_a else PLAIN, TRANSPOSED if trans_b else PLAIN, m, n, k, one, pointer(a), a.shape[1], pointer(b), b.shape[1], zero, pointer(c), n)
        call()
        if not numpy.allclose(c[0], (a.T if trans_a else a)[0] @ (b.T if trans_b else b), rtol=1e-3):
            raise AssertionError(f"{library}: cblas_sgemm gives a wrong product for {m}x{n}x{k}")
        run = argparse.Namespace(threads=threads, steps=steps)
        report("gemm", run, timed_kernel(run, call), library, shape=[m, n, k, trans_a, trans_b])


if __name__ == "__main__":
    main()
