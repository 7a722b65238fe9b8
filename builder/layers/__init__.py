"""File trees to tar layers and back."""
