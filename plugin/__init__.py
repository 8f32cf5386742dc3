"""The dvol server: Docker's door and people's door to one pool, in one process.

Source, not build output. It runs inside the plugin's image as `python3 -m plugin` and is not
installed by pip. It imports `dvol`; nothing in `dvol` imports it.
"""
