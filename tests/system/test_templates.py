"""Templates give what Go's own text/template gives: podman's, which hands its version to one."""

from __future__ import annotations

import subprocess

from builder.template.evaluate import Template

TEMPLATES = (
    '{{printf "%5d|%-5d|%05d|%+d|%x|%X|%#x|%b|%o|%c|%U|%q" 1 2 -3 4 255 255 255 5 8 97 97 97}}',
    '{{printf "%f|%.1f|%6.2f|%e|%g|%v|%v|%v" 1.5 2.25 3.14159 1234.5 0.1 2.0 1e6 1e21}}',
    '{{printf "%t %v %T %T %T %T %T" true nil 1 "a" 1.5 true nil}}',
    '{{printf "%*d|%-*d|%.*f" 4 1 4 1 2 1.5}}',
    '{{printf "%d" "a"}} {{printf "%s"}} {{printf "a" 1 nil}} {{printf "%z" 1}} {{printf "%"}} {{printf "%!"}}',
    '{{printf "%s %d %v" 1 "x" true}} {{printf "%d %s %q" nil nil nil}}',
    '{{printf "%q|%#q|%x|% x|%X|%.2s|%5.1s|%-5s|" "a\\"b" "ab" "abc" "abc" "abc" "abc" "abc" "abc"}}',
    '{{printf "%[2]d %[1]d %d|%[5]d" 1 2 3}}',
    '{{printf "%6.3v|%.2v|%6v|%-6v|%06d|%.3d|%5.3d" 3.14159 "abc" "ab" "ab" 42 5 5}}',
    '{{printf "%t" 1}} {{printf "%d" 1.5}} {{printf "%s" 1.5}} {{printf "%c" "a"}} {{printf "%v %d" 1}}',
    '{{printf "%08.3f|%+.2e|%x|%x|%o|% d|%5t|%-7t|%3c|" 3.14159 12345.678 "hi" -255 -8 5 true false 97}}',
    "{{1e6}} {{1.50}} {{0x1F}} {{010}} {{1_000}} {{'a'}} {{true}} {{-5}} {{.5}} {{1e21}} {{100000.0}} {{123456789.0}}",
    '{{print 1 2 "a" 3}}|{{print "a" "b"}}|{{println 1 "a"}}|{{print nil}}|{{"\\x41\\u00e9\\101"}}|{{`a\\b`}}',
    '{{len "é"}} {{index "abc" 1}} {{slice "abc" 1 2}} {{"a" | printf "%s-%s" "b" | len}}',
    '{{eq 1 1}} {{eq 1 2 1}} {{ne "a" "b"}} {{lt 1 2}} {{le 2 2}} {{gt "a" "b"}} {{ge 2 3}}',
    '{{and 1 0}} {{or 0 "" "x"}} {{not 0}} {{and 0 (index "a" 9)}} {{or 1 (index "a" 9)}}',
    '{{if ""}}a{{else if 1}}b{{else}}c{{end}}{{with 0}}x{{else}}y{{end}}{{with $x := "v"}}{{$x}}{{.}}{{end}}',
    "{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}{{if true}}{{$x := 3}}{{end}}{{$x}}",
    'a {{- "b" -}}  c {{/* x */}} d {{- /* y */ -}} e',
)


def test_templates_are_gos() -> None:
    joined = "\n@\n".join(TEMPLATES)
    done = subprocess.run(["podman", "version", "--format", joined], capture_output=True, text=True, check=True)
    ours = Template(joined)({})
    for template, mine, theirs in zip(TEMPLATES, ours.split("\n@\n"), done.stdout[:-1].split("\n@\n"), strict=True):
        assert mine == theirs, template
