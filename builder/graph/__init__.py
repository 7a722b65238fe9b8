"""AST to vertices: what an image needs, as plain data. Pure; base configs come through a resolver."""
