// Kernels to be compiled for a debugger, whose loops the compiler leaves where they stand.

extern "C" __global__ void meet_after_loops(int* d, const int* a, int n) {
  __shared__ int sums[128];
  const int i = static_cast<int>(threadIdx.x);
  int sum = 0;
  for (int k = 0; k < a[i]; ++k) {
    sum += k;
  }
  sums[i] = sum;
  __syncthreads();
  int total = 0;
  int at = i;
  while (at < n) {
    if (a[at] % 3 == 0) {
      at += 2;
      continue;
    }
    total += sums[at++];
  }
  __syncthreads();
  sums[i] = total;
  __syncthreads();
  d[i] = sums[(i + 1) % n];
}
