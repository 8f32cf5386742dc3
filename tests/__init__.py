"""The rings of tests. What they stand on (engines, images, file systems) lives in tests.lab."""
