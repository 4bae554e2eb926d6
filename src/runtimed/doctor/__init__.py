"""What may be wrong with a daemon: found, and mended, from outside, whether it runs or not."""
