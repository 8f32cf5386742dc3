"""The backend for every file system: trees are plain directories, and a commit copies only changed
files."""
