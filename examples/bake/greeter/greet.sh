#!/bin/sh
read -r word < "/words/$LANGUAGE"
echo "$word, ${1:-world}!"
