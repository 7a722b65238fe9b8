"""What is kept: an OCI image layout plus one SQLite file."""
