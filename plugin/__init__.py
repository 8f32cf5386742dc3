"""The dvol server: the plugin API for Docker and the control API for the command, on one pool, in
one process.

It runs in the plugin's image as `python3 -m plugin`; pip does not install it. It imports `dvol`,
and nothing in `dvol` imports it.
"""
