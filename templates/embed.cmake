# Writes FILES (comma-separated, relative to ROOT) as text into the C++ source OUTPUT, which defines FUNCTION of
# embedded_templates.hpp. If PARTS is set, a long file becomes several rows of one name.
string(REPLACE "," ";" FILES "${FILES}")
set(most 60000)
set(rows "")
set(count 0)
foreach(name IN LISTS FILES)
  file(READ "${ROOT}/${name}" text)
  string(LENGTH "${text}" length)
  if(length GREATER most AND NOT PARTS)
    message(FATAL_ERROR "${name} is too long for one string literal; split it")
  endif()
  set(begin 0)
  while(begin LESS length OR begin EQUAL 0)
    string(SUBSTRING "${text}" ${begin} ${most} part)
    string(APPEND rows "    {\"${name}\"sv, R\"kerncast_text(${part})kerncast_text\"sv},\n")
    math(EXPR count "${count} + 1")
    math(EXPR begin "${begin} + ${most}")
  endwhile()
endforeach()
set(definition "std::span<const EmbeddedFile> ${FUNCTION}() noexcept { return {}; }")
if(count GREATER 0)
  # The suffix gives each text its length. A compiler that counts the characters of all the texts in a constant
  # expression comes to its limit of steps.
  set(definition "namespace {

using namespace std::string_view_literals;

constexpr EmbeddedFile files[${count}] = {
${rows}};

}  // namespace

std::span<const EmbeddedFile> ${FUNCTION}() noexcept { return files; }")
endif()
file(WRITE "${OUTPUT}" "#include \"runtime/dispatch/source_text/embedded_templates.hpp\"

namespace kerncast {
${definition}

}  // namespace kerncast
")
