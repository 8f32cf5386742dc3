"""The crash rings: each verb is killed, cut off or made to fail at every call that changes a disk.

`tracer` stops a verb at those calls (`calls`), so that the code under test needs no hooks. The
verb runs in a `worker` process, on a pool that `history` built. `state` describes a pool, and
`check` compares it with the expected states. `image` copies the disk as a power cut would leave
it, and `cut_disk` checks each copy. `counts` counts the points that were tried.
"""
