# Writes OUTPUT, a source file that holds every config.json in MODELS (a list separated by commas) as text.
string(REPLACE "," ";" files "${MODELS}")
list(SORT files)
set(entries "")
foreach(file IN LISTS files)
  cmake_path(GET file STEM LAST_ONLY name)
  file(READ "${file}" text)
  string(APPEND entries "    {\"${name}\", R\"model(${text})model\"},\n")
endforeach()
file(WRITE "${OUTPUT}" "#include \"tools/model/shipped_models.hpp\"\n
namespace kerncast::tools {
namespace {
constexpr ShippedModel models[] = {
${entries}};
}  // namespace

std::span<const ShippedModel> shipped_models() { return models; }
}  // namespace kerncast::tools
")
