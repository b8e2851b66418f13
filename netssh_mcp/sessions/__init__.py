"""One device, one turn at a time: the seam between tasks and threads."""
