"""A conformance and fault suite for tus 1.0 servers: `python -m tests.tus_conformance URL`."""
