"""The model of containers: volumes, containers and users, what may happen to them, and what must be
so afterwards. `test_model.py` runs it.

`app` has a container and `apps` all of them together, `volume` a volume and how it is read from
disk, `verb` the commands of dvol and what they make of a volume, `user` what other people do to
containers, `engine` what Docker says; `world` does one step after the other, and `comparison`
compares.
"""
