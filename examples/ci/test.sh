#!/bin/sh
# The words are sorted, and none is missing.
set -eu
sort -c sorted.txt
[ "$(wc -l <sorted.txt)" = "$(wc -l <words.txt)" ]
