# embed.cmake -- writes OUT, a C file with PAGE and OPENAPI as bytes (node/http/embedded.h):
# cmake -DPAGE=... -DOPENAPI=... -DOUT=... -P embed.cmake
function(bytes_of file name out)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," array "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" array "${array}")
  set(${out} "const unsigned char ${name}[] = {\n${array}0x00\n};\nconst size_t ${name}_count = sizeof ${name} - 1;\n" PARENT_SCOPE)
endfunction()

bytes_of(${PAGE} td_page_html page)
bytes_of(${OPENAPI} td_openapi_json openapi)
file(WRITE ${OUT} "/* Made by scripts/cmake/embed.cmake; not to be changed by hand. */
#include \"node/http/embedded.h\"

${page}
${openapi}")
