"""Simulated devices over real SSH on loopback, for the demo, the tests and the benchmarks."""
