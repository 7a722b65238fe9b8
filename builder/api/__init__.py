"""The typed Python API: the only place where the rooms are wired together. Everything takes a `Session`."""
