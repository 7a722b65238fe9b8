#!/bin/sh
echo "Hello, ${1:-$NAME}!"
