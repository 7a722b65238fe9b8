"""What `import builder` offers, each part loaded when it is named first (builder/__init__.py)."""
