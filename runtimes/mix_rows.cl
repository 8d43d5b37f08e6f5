/* Rows of state blended with others, wherever they lie. OpenCL C, compiled to PTX by

     clang -x cl -cl-std=CL1.2 --target=nvptx64-nvidia-cuda -Xclang -target-cpu -Xclang sm_70 -O2 -S \
         -ffp-contract=off \
         -DBLOCK_X='__nvvm_read_ptx_sreg_ctaid_x()' -DBLOCK_Y='__nvvm_read_ptx_sreg_ctaid_y()' \
         -DBLOCKS='__nvvm_read_ptx_sreg_nctaid_x()' \
         -DTHREADS='__nvvm_read_ptx_sreg_ntid_x()' -DTHREAD='__nvvm_read_ptx_sreg_tid_x()' \
         -o mix_rows.ptx mix_rows.cl

   table: for each row of each tensor where the first, the fresh and the blended one lie, and how many numbers it has.
   A block of threads takes a row (y) and a part of its numbers (x); all of them are float32. */
typedef unsigned long u64;
typedef struct { u64 first, fresh, mixed, count; } Row;

__kernel void mix_rows(__global const Row *table, const float keep, const float share)
{
    const Row row = table[BLOCK_Y];
    __global const float *first = (__global const float *)row.first, *fresh = (__global const float *)row.fresh;
    __global float *mixed = (__global float *)row.mixed;
    for (u64 i = (u64)BLOCK_X * THREADS + THREAD; i < row.count; i += (u64)BLOCKS * THREADS)
        mixed[i] = keep * first[i] + share * fresh[i];
}
