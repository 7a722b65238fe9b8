# syntax=docker/dockerfile:1.4
FROM python:3.12-slim
RUN <<EOT
#!/usr/bin/env python3
import sys
print("made by", sys.version, file=open("/etc/built", "w"))
EOT
RUN <<-"SCRIPT"
	#!/bin/bash
	set -e
	for name in a b c; do
		echo "$name" >> /etc/names
	done
	SCRIPT
RUN python3 <<PY
with open("/etc/answer", "w") as f:
    f.write("42\n")
PY
CMD ["cat", "/etc/built"]
