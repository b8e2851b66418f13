"""One module per question; each has `run(bench)`, which gives its figures."""
