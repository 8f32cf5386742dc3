"""Pools that an earlier dvol wrote, with each kind of unfinished work, and that dvol itself.

    dvol-format1.zip    the package `dvol` of commit 9997c55, the last one of format 1
    format1.img.xz      an ext4 image; each directory in it is a pool that this package wrote
    expected.json       what this package itself then answered, of each of these pools

An image, because journals name inode numbers, which no copy of files keeps. `make` makes image
and answers anew, `pools` builds the pools, `answers` asks a keeper, `images` packs and mounts.

What imports `dvol` in `pools` means the package in the zip: its names stay as they were.
"""
