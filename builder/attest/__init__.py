"""What is told of an image: what is in it, how it was made. Documents and statements; nothing of the image runs."""
