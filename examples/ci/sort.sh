#!/bin/sh
# Sorts words.txt. What it has sorted before it remembers in a cache mount, as compilers and package managers do.
set -eu
kept=/var/cache/words/$(md5sum <words.txt | cut -d ' ' -f 1)
if [ -e "$kept" ]; then
    echo "sorted before"
else
    sort words.txt >"$kept"
    echo "sorted now"
fi
cp "$kept" sorted.txt
echo "$(find /var/cache/words -type f | wc -l) in the cache mount"
