"""What changes for a project that was built with Docker: looked for in its files, without building anything."""
