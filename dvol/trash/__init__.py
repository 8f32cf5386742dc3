"""What was removed: entries, their notes, and which commits are still needed; not when to
delete them."""
