"""Tests on real routers and a real Linux host; `python -m tests.lab.reallab up` brings the lab up by hand."""
