/* Rows of state between the resident tensors and a batch, all tensors at once. OpenCL C, compiled to PTX by

     clang -x cl -cl-std=CL1.2 --target=nvptx64-nvidia-cuda -Xclang -target-cpu -Xclang sm_70 -O2 -S \
         -DBLOCK_X='__nvvm_read_ptx_sreg_ctaid_x()' -DBLOCK_Y='__nvvm_read_ptx_sreg_ctaid_y()' \
         -DBLOCK_Z='__nvvm_read_ptx_sreg_ctaid_z()' -DBLOCKS='__nvvm_read_ptx_sreg_nctaid_x()' \
         -DTHREADS='__nvvm_read_ptx_sreg_ntid_x()' -DTHREAD='__nvvm_read_ptx_sreg_tid_x()' \
         -o move_rows.ptx move_rows.cl

   so that the driver alone is needed where it runs: no compiler, and any GPU since compute capability 7.0.

   table: for each tensor the address of its resident rows, that of the batch, and the bytes of one row.
   rows: which row each place of the batch is; below 0, none: zeros are read, nothing is written.
   scatter: 0 reads rows into the batch, 1 writes the batch into rows.
   A block takes a tensor (z), a place (y) and a part of the row (x). */
typedef unsigned long u64;
typedef struct { u64 low, high; } wide;

__kernel void move_rows(__global const u64 *table, __global const int *rows, const unsigned scatter)
{
    __global const u64 *tensor = table + 3 * BLOCK_Z;
    const u64 place = BLOCK_Y, size = tensor[2];
    const long row = rows[place];
    if (scatter && row < 0) return;
    const u64 inside = tensor[0] + (u64)row * size, outside = tensor[1] + place * size;
    const u64 from = scatter ? outside : inside, to = scatter ? inside : outside;
    const u64 first = (u64)BLOCK_X * THREADS + THREAD, step = (u64)BLOCKS * THREADS;
    const u64 wides = (from | to | size) % sizeof(wide) ? 0 : size / sizeof(wide);
    const wide none = {0, 0};
    for (u64 i = first; i < wides; i += step)
        ((__global wide *)to)[i] = row < 0 ? none : ((__global const wide *)from)[i];
    for (u64 i = wides * sizeof(wide) + first; i < size; i += step)
        ((__global char *)to)[i] = row < 0 ? 0 : ((__global const char *)from)[i];
}
