"""The crash rings: each verb is killed, cut off or failed at every call that changes a disk.

`tracer` stops a verb at those calls (`calls`), so that the code under test needs no hooks. The
verb runs in `stage`, on a pool that `history` made; `picture` sees what became of it, `verdict`
judges, `camera` takes the image file of the disk as a power cut would leave it.
"""
