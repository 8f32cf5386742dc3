"""What the kernel offers, thinly: syncs, exchange, flock, openat, mountinfo, btrfs ioctls, and JSON
documents replaced whole; no tree, and no pool.
"""
