"""The test suite: `unit`, `devices`, `recordings`, `lab` (real routers) and `conformance`."""
