# Writes FILES (comma-separated, relative to ROOT) as text into the C++ source OUTPUT.
string(REPLACE "," ";" FILES "${FILES}")
set(rows "")
set(count 0)
foreach(name IN LISTS FILES)
  file(READ "${ROOT}/${name}" text)
  string(LENGTH "${text}" length)
  if(length GREATER 60000)
    message(FATAL_ERROR "${name} is too long for one string literal; split it")
  endif()
  string(APPEND rows "    {\"${name}\", R\"kerncast_text(${text})kerncast_text\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE "${OUTPUT}" "#include \"runtime/dispatch/embedded_templates.hpp\"

namespace kerncast {
namespace {

constexpr EmbeddedFile files[${count}] = {
${rows}};

}  // namespace

std::span<const EmbeddedFile> embedded_templates() noexcept { return files; }

}  // namespace kerncast
")
