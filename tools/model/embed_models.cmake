# Writes OUTPUT, a source file that holds every JSON file in FILES (a list separated by commas) as text. HEADER declares
# the struct TYPE and the function FUNCTION that returns them all.
string(REPLACE "," ";" files "${FILES}")
list(SORT files)
set(entries "")
foreach(file IN LISTS files)
  cmake_path(GET file STEM LAST_ONLY name)
  file(READ "${file}" text)
  # A string literal may not be longer than 65,536 characters.
  string(REGEX REPLACE "\n" ")model\"\n    R\"model(\n" text "${text}")
  string(APPEND entries "    {\"${name}\", R\"model(${text})model\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"\n
namespace kerncast::tools {
namespace {
constexpr ${TYPE} ${FUNCTION}_list[] = {
${entries}};
}  // namespace

std::span<const ${TYPE}> ${FUNCTION}() { return ${FUNCTION}_list; }
}  // namespace kerncast::tools
")
