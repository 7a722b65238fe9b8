"""Text to AST: everything that knows Dockerfile syntax. Pure: no disk, no process."""
