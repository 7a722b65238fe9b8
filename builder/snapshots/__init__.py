"""Layers as file trees, stacked by overlayfs: the assembler. Its functions run in a launcher's children."""
