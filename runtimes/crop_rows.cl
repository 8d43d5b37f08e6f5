/* Crops of a batch, resized and normalised, one to a row. OpenCL C, compiled to PTX by

     clang -x cl -cl-std=CL1.2 --target=nvptx64-nvidia-cuda -Xclang -target-cpu -Xclang sm_70 -O2 -S \
         -ffp-contract=off \
         -DBLOCK_X='__nvvm_read_ptx_sreg_ctaid_x()' -DBLOCK_Y='__nvvm_read_ptx_sreg_ctaid_y()' \
         -DBLOCKS='__nvvm_read_ptx_sreg_nctaid_x()' \
         -DTHREADS='__nvvm_read_ptx_sreg_ntid_x()' -DTHREAD='__nvvm_read_ptx_sreg_tid_x()' \
         -o crop_rows.ptx crop_rows.cl

   so that the driver alone is needed where it runs: no compiler, and any GPU since compute capability 7.0.

   pieces: one for each row, as device_crops.py tells them; their pixels are RGB bytes.
   out: (rows, 3, size, size).
   A block of threads takes a row (y) and a part of its pixels (x). The arithmetic is OpenCV's, to the bit: bilinear
   from pixel centres with weights in 1/2048, each sample rounded to a byte, dense samples averaged and rounded. */
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef unsigned long u64;
typedef unsigned char byte;
typedef struct {
    u64 pixels;    /* where they begin */
    u64 levels;    /* where it is said what each of the 256 values of a byte becomes: red, green, blue */
    double scale;  /* image pixels between samples */
    float share;   /* of one sample in a pixel */
    int side, left, top, width, height, dense;  /* side 0: zeros; below 0: the row is left as it is */
} Piece;
typedef struct { int first, second, low, high; } Taps;

static int nearest(float value)  /* ties to even */
{
    return (int)((value + 12582912.0f) - 12582912.0f);
}

static Taps taps(int sample, double scale, int side, int across)
{
    float exact = (float)((sample + 0.5) * scale - 0.5);
    int at = (int)exact;
    if (exact < at) at--;
    float part = exact - at;
    if (across && (at < 0 || at >= side - 1)) {
        part = 0;
        at = at < 0 ? 0 : side - 1;
    }
    Taps found = {at, at + 1, nearest((1.0f - part) * 2048.0f), nearest(part * 2048.0f)};
    if (found.first < 0) found.first = 0;
    if (found.first > side - 1) found.first = side - 1;
    if (found.second < 0) found.second = 0;
    if (found.second > side - 1) found.second = side - 1;
    return found;
}

static int pixel(__global const byte *pixels, __global const Piece *piece, int y, int x, int colour)
{
    y -= piece->top;
    x -= piece->left;
    if (y < 0 || x < 0 || y >= piece->height || x >= piece->width) return 0;
    return pixels[((u64)y * piece->width + x) * 3 + colour];
}

__kernel void crop_rows(__global const Piece *pieces, __global float *out, const unsigned size)
{
    __global const Piece *piece = pieces + BLOCK_Y;
    __global const float *levels = (__global const float *)piece->levels;
    __global const byte *pixels = (__global const byte *)piece->pixels;
    if (piece->side < 0) return;
    const unsigned area = size * size;
    __global float *planes = out + (u64)BLOCK_Y * 3 * area;
    const int dense = piece->dense;
    for (unsigned at = BLOCK_X * THREADS + THREAD; at < area; at += BLOCKS * THREADS) {
        int sums[3] = {0, 0, 0};
        if (piece->side == 0) {
            for (int colour = 0; colour < 3; colour++) planes[colour * area + at] = 0;
            continue;
        }
        for (int i = 0; i < dense; i++) {
            const Taps down = taps((int)(at / size) * dense + i, piece->scale, piece->side, 0);
            for (int j = 0; j < dense; j++) {
                const Taps across = taps((int)(at % size) * dense + j, piece->scale, piece->side, 1);
                for (int colour = 0; colour < 3; colour++) {
                    const int above = pixel(pixels, piece, down.first, across.first, colour) * across.low
                        + pixel(pixels, piece, down.first, across.second, colour) * across.high;
                    const int below = pixel(pixels, piece, down.second, across.first, colour) * across.low
                        + pixel(pixels, piece, down.second, across.second, colour) * across.high;
                    const int sample = ((down.low * (above >> 4) >> 16) + (down.high * (below >> 4) >> 16) + 2) >> 2;
                    sums[colour] += sample > 255 ? 255 : sample;
                }
            }
        }
        for (int colour = 0; colour < 3; colour++) {
            int value = sums[colour];
            if (dense == 2) value = (value + 2) >> 2;
            else if (dense > 2) value = nearest((float)value * piece->share);
            planes[colour * area + at] = levels[256 * colour + value];
        }
    }
}
