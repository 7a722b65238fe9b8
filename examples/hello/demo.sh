#!/bin/sh
# Makes a base image of programs of this machine, builds an image on it twice, and runs it.
set -eu
cd "$(dirname "$0")"
say() { printf '\n$ %s\n' "$*"; "$@"; }
say pybuild import --from-host sh,cat,chmod hello-base
say pybuild -f Buildfile -t hello .
say pybuild -f Buildfile -t hello .
say pybuild run --rm hello
say pybuild run --rm -e NAME=you hello
say pybuild images
