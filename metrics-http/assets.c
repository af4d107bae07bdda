#include "assets.h"

#include <stddef.h>

/* The assembler reads the files. */
#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .rodata\n.globl " #name ", " #name "_end\n" #name                        \
            ": .incbin \"metrics-http/page/" file "\"\n" #name "_end: .byte 0\n.popsection\n")

extern const char page_css[], page_css_end[], page_js[], page_js_end[], icon_svg[], icon_svg_end[];

EMBED(page_html, "page.html");
EMBED(page_css, "page.css");
EMBED(page_js, "page.js");
EMBED(icon_svg, "icon.svg");

const struct asset assets[] = {
    {"/page.css", "text/css; charset=utf-8", page_css, page_css_end},
    {"/page.js", "text/javascript; charset=utf-8", page_js, page_js_end},
    {"/icon.svg", "image/svg+xml", icon_svg, icon_svg_end},
    {.path = NULL},
};
