"""What the kernel offers, thinly: syncs, exchange, flock, openat, mountinfo, btrfs ioctls, JSON
documents replaced whole, and logs; no tree, and no pool.
"""
