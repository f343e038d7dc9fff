// Owns the headers that all tests have precompiled: they can be taken over only from a program of the same
// kind.
int main() {
  return 0;
}
