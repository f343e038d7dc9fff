#include "tools/commands/command.hpp"

int main(int argc, char** argv) {
  return kerncast::tools::run_command_line(argc, argv);
}
